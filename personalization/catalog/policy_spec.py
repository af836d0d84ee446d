"""How a placement explores and what it learns with: names and parameters.

Names are checked where they are known (``online_models.registry``); here is only their shape.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class PolicySpec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """Which policy turns estimates into probabilities, and the floors under them (rule *Floors*).

    Attributes
    ----------
    name
        ``default``, ``thompson``, ``linucb``, ``squarecb``, ``epsilon_greedy``, ``uniform`` or ``fixed``.
    parameters
        The policy's own, by name, e.g. ``{"epsilon": 0.1}`` or ``{"arm": "hero-shoes"}``.
    min_probability
        A fixed least probability per eligible arm, where bounded weights matter more than the last
        percent; None: rule *Floors*. More than 1/K cannot be had.
    epsilon
        Floor under every eligible arm as a share of *room*: ``epsilon * room / K``.
    new_arm_exposures
        An arm with fewer learned exposures (n₀) counts as new and has at least 1/(2K).
    """

    short_form: ClassVar[str] = "thompson"

    name: str = "default"
    parameters: dict[str, Any] = {}
    min_probability: float | None = None
    epsilon: float = 0.02
    new_arm_exposures: int = 1

    @classmethod
    def from_short(cls, text: str) -> PolicySpec | None:
        """A policy by its name alone."""
        return cls(name=text)

    def number(self, key: str, default: float) -> float:
        """The numeric parameter ``key``, or ``default``.

        >>> PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.1}).number("epsilon", 0.05)
        0.1
        """
        value = self.parameters.get(key, default)
        return float(value) if isinstance(value, int | float) else default


class ModelSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A reward model by name: ``default``, one of ours, or any River class by its dotted path.

    Attributes
    ----------
    name
        ``default``, a name of ``online_models.registry.model_names()``, or e.g.
        ``river.linear_model.LogisticRegression``.
    params
        Keyword arguments of its constructor; plain values.
    """

    name: str = "default"
    params: dict[str, Any] = {}
