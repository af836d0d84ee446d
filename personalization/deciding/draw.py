"""What a draw is named by, and the ids of choices that several calls agree on."""

from __future__ import annotations

from personalization.deciding.decision_keys import DecisionKeys
from personalization.events.decision_id import derived_nonce, mint


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
