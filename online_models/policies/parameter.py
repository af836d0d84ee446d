"""One parameter of a policy, declared once: the check, the editor's help and the docs all come from here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from personalization.catalog.policy_spec import PolicySpec


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a placement may write under ``policy.parameters``.

    Attributes
    ----------
    doc
        What it does, in one line.
    kind
        A ``number``, the id of one of the placement's contents (``content``), or a number for each of several
        contents (``weights``).
    default
        The value of a number nobody wrote.
    low, high
        The range of a number, ends included.

    >>> Parameter("alpha", "Optimism.", default=1.0, low=0.0, high=100.0).mistake(-3)
    'must be a number from 0 to 100, not -3'
    """

    name: str
    doc: str
    kind: Literal["number", "content", "weights"] = "number"
    default: float = 0.0
    low: float = 0.0
    high: float = 1.0

    def of(self, spec: PolicySpec) -> float:
        """The number that ``spec`` gives, else the default."""
        return spec.number(self.name, self.default)

    def mistake(self, value: Any, arms: Collection[str] | None = None) -> str | None:
        """What is wrong with ``value``, in words; None if it fits.

        Parameters
        ----------
        arms
            The placement's contents; None: they are not known here.
        """
        if self.kind == "number":
            fits = _is_number(value) and self.low <= value <= self.high
            return None if fits else f"must be {self.takes}, not {value!r}"
        if self.kind == "content":
            return (
                _content_mistake(value, arms) if isinstance(value, str) else f"must be {self.takes}, not {value!r}"
            )
        if not isinstance(value, Mapping) or not value:
            return f"must be {self.takes}, not {value!r}"
        for arm, weight in value.items():
            if mistake := _content_mistake(arm, arms):
                return mistake
            if not (_is_number(weight) and 0.0 <= weight < math.inf):
                return f"the weight of {arm!r} must be a number of 0 or more, not {weight!r}"
        total = math.fsum(value.values())
        return None if 0.0 < total < math.inf else "at least one content needs a weight above 0"

    @property
    def takes(self) -> str:
        """What may be written, in words."""
        if self.kind == "number":
            return f"a number from {self.low:g} to {self.high:g}"
        if self.kind == "content":
            return "one of the placement's contents"
        return "a weight for each content that may be shown, such as {hero-welcome: 3, hero-sale: 1}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _content_mistake(arm: str, arms: Collection[str] | None) -> str | None:
    if arms is None or arm in arms:
        return None
    if not arms:
        return f"the catalog names no content of this placement, so {arm!r} cannot be fixed; choose another policy"
    close = difflib.get_close_matches(arm, arms, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"it shows: {', '.join(sorted(arms)[:12])}"
    return f"the placement does not show {arm!r}; {remedy}"
