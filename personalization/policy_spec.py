"""How a placement explores: the name of a policy and its parameters."""

from __future__ import annotations

from typing import Any

import msgspec


class PolicySpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Which policy turns estimates into probabilities.

    Attributes
    ----------
    name
        ``default``, ``thompson``, ``linucb``, ``squarecb``, ``epsilon_greedy``, ``uniform`` or ``fixed``.
    parameters
        The policy's own, by name.
    min_probability
        A fixed least probability per eligible arm, where bounded weights matter more than the last
        percent; None: rule *Floors*.
    """

    name: str = "default"
    parameters: dict[str, Any] = {}
    min_probability: float | None = None
