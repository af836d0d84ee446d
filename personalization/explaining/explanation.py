"""An explanation of one decision: what could be shown, what could not and why, what was drawn, by which versions.

It is read by people and by programs, so its names on the wire are camelCase as those of every answer.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

AsOf: TypeAlias = Literal["decision", "now"]
"""Whether a value is the one that decided, or today's: no record holds what rules read."""


class Told(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """A part of an explanation."""


class ExplainedArm(Told, frozen=True, kw_only=True):
    """An arm that could be shown.

    Attributes
    ----------
    estimate, uncertainty
        The reward that the model expects of it and the standard deviation of that, float32 as recorded; null: no
        model was asked.
    weight
        Its probability as an integer over 2³², exactly as recorded; null: it was not worked out.
    probability
        The same in [0, 1].
    from_ticket, to_ticket
        The tickets for which it is drawn: those in [from, to). Arms lie there in their order.
    """

    arm: str
    estimate: float | None = None
    uncertainty: float | None = None
    weight: int | None = None
    probability: float | None = None
    from_ticket: int | None = None
    to_ticket: int | None = None


class RefusedArm(Told, frozen=True, kw_only=True):
    """An arm that could not be shown.

    Attributes
    ----------
    reason
        The word for it, as it is recorded.
    rule
        The rule as it is written; null: none refused it.
    values
        What was compared, by name.
    failing
        The conditions that did not hold, in words.
    as_of
        Of when ``values`` and ``failing`` are; null: they say nothing that changes.
    words
        The reason in plain words.
    """

    arm: str
    reason: str
    rule: str | None = None
    values: dict[str, Any] = {}
    failing: list[str] = []
    as_of: AsOf | None = None
    words: str = ""


class Effects(Told, frozen=True, kw_only=True):
    """What the features of the context did to the estimate of an arm.

    Attributes
    ----------
    mean_context_estimate
        What the model expects of the arm in the mean context.
    estimate
        What it expects here: that, and the sum of ``by_feature``.
    by_feature
        By feature, the strongest first; reward units, with a sign.
    model_version
        The model that says so; another than the decision's where that is not in memory any more.
    """

    arm: str
    mean_context_estimate: float
    estimate: float
    by_feature: dict[str, float]
    model_version: int


class Draw(Told, frozen=True, kw_only=True):
    """What was drawn.

    Attributes
    ----------
    ticket
        In [0, ``out_of``); the arm between whose tickets it lies was drawn.
    arm
        That arm.
    """

    ticket: int
    arm: str
    out_of: int = 1 << 32


class ToldConsent(Told, frozen=True, kw_only=True):
    """The word on a purpose that the decision was made by.

    Attributes
    ----------
    by
        Where it stands: ``recorded`` of the visitor, in a ``receipt``, in the ``request``, in what the ``browser``
        refuses by itself; ``default``: nobody said anything, and the source's ``consent_default`` holds.
    at_ms
        When it was said; null: never.
    """

    purpose: str
    granted: bool
    by: str
    at_ms: int | None = None
    verified: bool = False
    receipt: str | None = None


class HoldoutSide(Told, frozen=True, kw_only=True):
    """On which side of the placement's holdout the visitor is.

    Attributes
    ----------
    control
        Whether they are held out; null: nobody knows, as their state could not be read.
    layer
        The holdout that takes them: ``catalog`` (out of all placements) or ``placement``; null: none does, or the
        side was recorded under shares that are others now.
    since_ms
        When they were first shown something there, from which on the side stays; null: never before.
    crossover
        Whether they have been on both sides.
    """

    control: bool | None
    layer: Literal["catalog", "placement"] | None = None
    since_ms: int | None = None
    crossover: bool = False


class KeptChoice(Told, frozen=True, kw_only=True):
    """A choice that is kept for the visitor's session.

    Attributes
    ----------
    repeated
        Whether this call repeats it; else this decision is the one that is kept from now on.
    since_ms
        When it was made.
    until_silent_ms
        It ends when the visitor was silent for so long.
    """

    repeated: bool
    since_ms: int
    until_silent_ms: int


class Apprentice(Told, frozen=True, kw_only=True):
    """What an apprentice did: it shows the baseline, beside what its policy would have drawn."""

    baseline: str
    policy_arm: str


class Versions(Told, frozen=True, kw_only=True):
    """What a decision rests on.

    Attributes
    ----------
    model
        Version of the model that was asked; 0: the prior, or none was asked.
    state_revision, state_age_ms
        Of the visitor's state that was read; null: it could not be, or nobody is known.
    explained_by_catalog
        The catalog whose rules are told here.
    """

    catalog: int
    model: int
    state_revision: int | None
    state_age_ms: int | None
    explained_by_catalog: int


class Explanation(Told, frozen=True, kw_only=True):
    """Why somebody saw what they saw.

    Attributes
    ----------
    words
        In plain words, to be read aloud.
    decision_id
        Empty: it was not made, but would be.
    shown
        The arm.
    weight, probability
        Of the arm, given those before it; exactly as recorded.
    reason
        The tier's, as it is recorded.
    drawn
        Null: nothing was drawn.
    arms
        Those that could be shown, in the order in which they are drawn. Where nothing else may be shown the default
        stands there alone.
    refused
        All others of the placement.
    effects
        Of what was shown and of the next best.
    effects_note
        Why there are none, or whose they are; null: nothing is to be said.
    segments
        Those that the visitor is in; null: nothing of the visitor was known, or might be looked at.
    segments_as_of
        Of when they are.
    placement_rule
        Why the placement's own rule does not hold; null: it does, or there is none.
    variant
        The placement's variant that the visitor is in; null: none.
    """

    words: str
    decision_id: str
    placement: str
    slot: int
    shown: str
    weight: int
    probability: float
    policy: str
    tier: str
    reason: str
    decided_at_ms: int
    arms: list[ExplainedArm]
    refused: list[RefusedArm]
    versions: Versions
    drawn: Draw | None = None
    effects: list[Effects] = []
    effects_note: str | None = None
    consent: list[ToldConsent] = []
    segments: list[str] | None = None
    segments_as_of: AsOf | None = None
    placement_rule: RefusedArm | None = None
    holdout: HoldoutSide | None = None
    variant: str | None = None
    kept: KeptChoice | None = None
    apprentice: Apprentice | None = None
