"""Event ids: they name a ranking, stand for its visitor, and lead to its decisions without a look-up."""

from __future__ import annotations

from api.reading.ids import WireId
from api.services.intake import Intake
from personalization.errors import InvalidInput

_STEPS = frozenset({".", ".."})


def event_id_of(sent: WireId, field: str, intake: Intake) -> str | None:
    """The event id as sent, None where none was.

    Raises
    ------
    InvalidInput
        For one that no log could be keyed by, or that every broken caller sends.
    """
    if sent is None or sent == "":
        return None
    checked = intake.id(sent, field)
    if checked in _STEPS:
        message = f"is {checked!r}, a step in an address: no client could reward it; send another, or none"
        raise InvalidInput(field, message, "bad_id")
    if checked is None:
        message = "is what broken callers send in place of an id; send another for every ranking, or none"
        raise InvalidInput(field, message, "degenerate_id")
    return checked
