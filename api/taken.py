"""The answer to several things sent at once: how many were taken, and what was wrong with each of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from api.errors import ErrorAnswer, plain
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.reading.notice import Warned
from api.services.collecting import Taken

FieldOf: TypeAlias = Callable[[int, str], str]
"""Where a field stands in the body, given the place of the thing it belongs to and its name."""


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


class NotTaken(ErrorAnswer, frozen=True, kw_only=True):
    """What is wrong with the first of those that were not taken, and with each."""

    accepted: int
    rejected: list[Rejected]
    warnings: list[Warned]


def answer(taken: Taken, n_sent: int, call: Call, field_of: FieldOf) -> Reply:
    """200 once the log has the good ones, 400 where none is good."""
    warnings = [
        notice._replace(field=field_of(index, notice.field)).shown(index) for index, notice in taken.warnings
    ]
    rejected = _rejected(taken, field_of)
    if len(rejected) < n_sent:
        return reply(TakenAnswer(accepted=taken.n_accepted, rejected=rejected, warnings=warnings))
    return _refusal(0, rejected, warnings, call)


def refusal(taken: Taken, call: Call, field_of: FieldOf) -> Reply:
    """400 for what was not taken, though the others were."""
    return _refusal(taken.n_accepted, _rejected(taken, field_of), [], call)


def _rejected(taken: Taken, field_of: FieldOf) -> list[Rejected]:
    return [
        Rejected(
            index=index, field=plain(field_of(index, error.field)), code=error.code, message=plain(error.message)
        )
        for index, error in taken.rejected
    ]


def _refusal(n_accepted: int, rejected: list[Rejected], warnings: list[Warned], call: Call) -> Reply:
    first = rejected[0]
    refused = NotTaken(
        code=first.code,
        message=first.message,
        request_id=call.request_id,
        field=first.field,
        accepted=n_accepted,
        rejected=rejected,
        warnings=warnings,
    )
    return reply(refused, 400)
