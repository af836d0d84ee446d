"""How often the policy of an apprentice would have shown what was shown."""

from __future__ import annotations

import msgspec

MEMORY = 1_000
"""Decisions that the rate is of, roughly: each counts e⁻¹ once so many came after it. The policy of late is asked
about: what it did when it had learned nothing soon counts no more."""


class Imitation(msgspec.Struct):
    """Decisions of an apprentice, the latest weighing most.

    Attributes
    ----------
    n
        How many there were.
    weight, matched
        Of all, and of those in which the policy would have shown the same.

    Examples
    --------
    >>> imitation = Imitation()
    >>> for policy_arm in ("a", "b", "a", "a"):
    ...     imitation.count(shown="a", policy_arm=policy_arm)
    >>> imitation.n, round(imitation.rate or 0, 2)
    (4, 0.75)
    """

    n: int = 0
    weight: float = 0.0
    matched: float = 0.0

    def count(self, *, shown: str, policy_arm: str) -> None:
        """One more decision."""
        kept = 1 - 1 / MEMORY
        self.n += 1
        self.weight = self.weight * kept + 1
        self.matched = self.matched * kept + (shown == policy_arm)

    @property
    def rate(self) -> float | None:
        """The share of those that matched, [0, 1]; None before the first."""
        return self.matched / self.weight if self.n else None
