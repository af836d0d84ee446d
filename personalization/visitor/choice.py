"""A choice: which arm was chosen where, how probable it was, and by what. It never changes."""

from __future__ import annotations

import msgspec


class Choice(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a decision chose, as its entry, its record, the open decision and the outcome all hold it.

    Stored positionally (a msgpack array): a field is only ever added at the end, with a default.

    Attributes
    ----------
    decision_id
        Names the decision. A sticky repeat has the id of the original.
    placement, slot
        Where the arm is shown.
    arm
        Id of the content chosen.
    weight
        Its probability, an integer over 2³².
    policy
        Name of what chose: a policy, or ``control``, ``rules``, ``default`` if nothing was drawn by one.
    model_version
        Version of the model's snapshot that was asked; 0: the prior, or none was asked.
    catalog_version
        The catalog it was made under.
    holdout
        Whether the visitor is on the control's side of the placement's holdout; None: the side is not known.
    variant
        The placement's variant that it was made by; empty: the placement as written.
    shared
        Whether the variant has no model of its own, and teaches the placement's.
    policy_arm
        Of an apprentice, the arm that the policy would have chosen; empty: what was chosen it chose itself.
    trial
        Names the policy that was asked beside the one in force, and that one; 0: none was asked.
    trial_weight
        The probability that it would have given the arm, an integer over 2³².
    """

    decision_id: str
    placement: str
    slot: int
    arm: str
    weight: int
    policy: str = ""
    model_version: int = 0
    catalog_version: int = 0
    holdout: bool | None = False
    variant: str = ""
    shared: bool = False
    policy_arm: str = ""
    trial: int = 0
    trial_weight: int = 0

    @property
    def model(self) -> str:
        """The key of the model that learns from it, under which its outcome stands in the log.

        >>> Choice("d", "hero", 0, "a", 1, variant="b").model, Choice("d", "hero", 0, "a", 1).model
        ('hero@b', 'hero')
        """
        return model_key(self.placement, self.variant, shared=self.shared)


def model_key(placement: str, variant: str, *, shared: bool) -> str:
    """The key of the model of a variant of a placement: its own, or the placement's if it is ``shared``.

    >>> model_key("hero", "b", shared=False), model_key("hero", "b", shared=True)
    ('hero@b', 'hero')
    """
    return f"{placement}@{variant}" if variant and not shared else placement
