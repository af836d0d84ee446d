"""Whom a ``distinct_id`` stands for: PostHog has one kind of id, and we have two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from api.access.proof import Proof
from api.reading.ids import WireId
from api.services.intake import Intake

DISTINCT_ID = "distinct_id"


class Person(NamedTuple):
    """The ids of who did something; no id at all: nobody."""

    user_id: str | None
    anonymous_id: str | None


def person_of(distinct_id: WireId, browser_id: WireId, proof: Proof, field: str, intake: Intake) -> Person:
    """Who it is.

    A browser's id beside another ``distinct_id`` tells of a log-in: then that is the user's, whoever sends it.
    Alone it is by a server key the user's, by a write key the anonymous one, unless proof is shown for it; where
    both are one text, nobody is logged in.

    Parameters
    ----------
    field
        Where it stands, for errors.

    Raises
    ------
    InvalidInput
        Where one cannot be an id.
    """
    own, browser = intake.id(distinct_id, f"{field}{DISTINCT_ID}"), intake.id(browser_id, f"{field}$device_id")
    if browser is not None:
        return Person(None if own == browser else own, browser)
    if intake.caller.is_server or proof.is_shown:
        return Person(own, None)
    return Person(None, own)


def sent_id(values: Mapping[str, Any], *names: str) -> WireId:
    """The first of ``names`` that is given; what is no id is none."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str | int | float) and value != "":
            return value
    return None
