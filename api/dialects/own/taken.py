"""The answer to several things sent at once: how many were taken, and what was wrong with each of the others."""

from __future__ import annotations

from collections.abc import Callable

from api.answer import Answer, reply
from api.collecting import Taken
from api.dialect import Call, Reply
from api.errors import ErrorAnswer, plain
from api.notice import Warned


class Rejected(Answer, frozen=True, kw_only=True):
    """One thing that was not taken.

    Attributes
    ----------
    index
        Its place among those sent.
    """

    index: int
    field: str
    code: str
    message: str


class TakenAnswer(Answer, frozen=True, kw_only=True):
    """What was taken.

    Attributes
    ----------
    accepted
        How many the log has now.
    rejected
        Those that were not as they should be.
    warnings
        What is to be said of those that were.
    """

    accepted: int
    rejected: list[Rejected]
    warnings: list[Warned]


class NoneTaken(ErrorAnswer, frozen=True, kw_only=True):
    """What is wrong with the first, where none was taken, and with each."""

    accepted: int
    rejected: list[Rejected]
    warnings: list[Warned]


def answer(taken: Taken, n_sent: int, call: Call, field_of: Callable[[int, str], str]) -> Reply:
    """200 once the log has the good ones, 400 where none is good.

    Parameters
    ----------
    field_of
        Where a field stands in the body, given the place of the thing it belongs to and its name.
    """
    rejected = [
        Rejected(
            index=index, field=plain(field_of(index, error.field)), code=error.code, message=plain(error.message)
        )
        for index, error in taken.rejected
    ]
    warnings = [
        notice._replace(field=field_of(index, notice.field)).shown(index) for index, notice in taken.warnings
    ]
    if len(rejected) < n_sent:
        return reply(TakenAnswer(accepted=taken.n_accepted, rejected=rejected, warnings=warnings))
    first = rejected[0]
    refused = NoneTaken(
        code=first.code,
        message=first.message,
        request_id=call.request_id,
        field=first.field,
        accepted=0,
        rejected=rejected,
        warnings=warnings,
    )
    return reply(refused, 400)
