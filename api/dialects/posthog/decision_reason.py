"""A decision id in the reason of a flag: the one text that SDKs send back with ``$feature_flag_called``."""

from __future__ import annotations

from typing import Any

_PREFIX = "decision "


def reason_for(decision_id: str) -> str:
    """The reason's description."""
    return _PREFIX + decision_id


def decision_in(reason: Any) -> str | None:
    """The decision id that a reason holds, None where it holds none.

    >>> decision_in(reason_for("d-1")), decision_in("Evaluated locally")
    ('d-1', None)
    """
    if not isinstance(reason, str) or not reason.startswith(_PREFIX):
        return None
    return reason.removeprefix(_PREFIX)
