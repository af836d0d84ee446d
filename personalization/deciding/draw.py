"""What a draw is named by, and the ids of choices that several calls agree on."""

from __future__ import annotations

from personalization.deciding.decision_keys import DecisionKeys
from personalization.events.decision_id import derived_nonce, mint, slot_nonce


def sticky_draw_name(*, unit: bytes, placement: str, slot: int, replaces: str) -> str:
    """What the draw of a sticky choice hashes: what agreeing calls agree on. That of any other hashes its id.

    No time and no session stands in it, and the choice that is replaced does: so no ticket is used twice.
    """
    return "\x1f".join(("sticky", unit.hex(), placement, str(slot), replaces or "-"))


def decision_id_by_arm(keys: DecisionKeys, *, key: str, request_id: str, arm: str) -> str:
    """The id of the decision for ``arm`` in the request that its caller calls ``request_id``.

    It names no draw: what is drawn says which arm it is.
    """
    nonce = derived_nonce(keys.assignment, "by arm", key, f"{len(request_id)}:{request_id}", arm)
    return mint(keys.ids, key, nonce)


def sticky_decision_id(
    keys: DecisionKeys, *, key: str, unit: bytes, placement: str, slot: int, replaces: str, arm: str
) -> str:
    """The id of a sticky choice: calls that agree on all but the key share its nonce, and are one trial."""
    nonce = derived_nonce(keys.assignment, unit.hex(), placement, str(slot), replaces or "-", arm)
    return mint(keys.ids, key, nonce)


def repeatable_nonce(keys: DecisionKeys, *, key: str, request_id: str, placement: str, slot: str) -> bytes:
    """The nonce of a slot of a request that has an id of its own, whoever works it out, wherever and whenever."""
    named = f"{len(request_id)}:{request_id}"
    nonce = derived_nonce(keys.assignment, "request", key, named, placement, slot)
    if not slot.startswith(_NAMED) or slot == WHOLE_CALL:
        return nonce
    return slot_nonce(derived_nonce(keys.assignment, "request", key, named, placement, WHOLE_CALL), nonce)


def repeatable_decision_id(keys: DecisionKeys, *, key: str, request_id: str, placement: str, slot: str) -> str:
    """The id of the decision that such a request made for a slot: found without a look-up."""
    nonce = repeatable_nonce(keys, key=key, request_id=request_id, placement=placement, slot=slot)
    return mint(keys.ids, key, nonce)


_NAMED = "named:"

WHOLE_CALL = _NAMED
"""Stands for all slots with a name of a placement in a request: an id for it leads to theirs (``call_of``)."""


def named_slot(name: str) -> str:
    """What stands for a slot that its caller gave a name, where others have their number."""
    return _NAMED + name
