"""Whom Metarank's ``user`` and ``session`` stand for."""

from __future__ import annotations

from typing import NamedTuple

from api.reading.ids import WireId, is_given
from api.services.intake import Intake


class Visitor(NamedTuple):
    """The ids of who sees a ranking, or acts on it."""

    user_id: str | None
    anonymous_id: str | None


def visitor_of(
    user: WireId, session: WireId, ranking: WireId, field: str, intake: Intake, *, proven: bool
) -> Visitor:
    """Who it is: the user; where none is named the session, and where there is none either the ranking itself.

    Parameters
    ----------
    ranking
        The ranking's id.
    proven
        Whether the request shows proof of whom it speaks for: then a page's user is one, else a browser.

    Raises
    ------
    InvalidInput
        Where one cannot be an id.
    """
    named = intake.id(user, f"{field}user")
    if named is not None:
        is_users = intake.caller.is_server or proven
        return Visitor(named, None) if is_users else Visitor(None, named)
    if is_given(session):
        return Visitor(None, intake.id(session, f"{field}session"))
    return Visitor(None, intake.id(ranking, f"{field}ranking"))
