"""What a placement says about how it chooses: an exploration policy and its bounds, by name.

Names are checked where the names are known (``online_models.registry``); here is only their shape.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

PolicyParam: TypeAlias = float | str | dict[str, float]


class PolicySpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An exploration policy with its parameters and the floors under it (rule *Floors*).

    Attributes
    ----------
    name
        ``default`` or a name of ``online_models.registry.policy_names()``.
    params
        What that policy understands, e.g. ``{"epsilon": 0.1}`` or ``{"arm": "hero-shoes"}``.
    min_probability
        A fixed floor under every eligible arm, for placements where bounded weights matter more than the
        last percent. At most 1/K of it can be had: above that the choice is uniform.
    epsilon
        Floor under every eligible arm as a share of *room*: ``epsilon * room / K``.
    new_arm_exposures
        An arm with fewer learned exposures than this counts as new and has at least 1/(2K).
    """

    name: str = "default"
    params: dict[str, PolicyParam] = {}
    min_probability: float = 0.0
    epsilon: float = 0.02
    new_arm_exposures: int = 32

    def number(self, key: str, default: float) -> float:
        """The numeric parameter ``key``, or ``default``.

        >>> PolicySpec("epsilon_greedy", {"epsilon": 0.1}).number("epsilon", 0.05)
        0.1
        """
        value = self.params.get(key, default)
        return float(value) if isinstance(value, int | float) else default


class ModelSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A reward model by name: ``default``, one of ours, or any River class by its dotted path.

    Attributes
    ----------
    name
        ``default``, a name of ``online_models.registry.model_names()``, or e.g.
        ``river.linear_model.LogisticRegression``.
    params
        Keyword arguments of its constructor; plain numbers and strings.
    """

    name: str = "default"
    params: dict[str, float | str | bool | None] = {}
