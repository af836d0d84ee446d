"""What a placement's model says of itself: what its arms go by, what matters, how its arms fare."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import msgspec
import numpy as np

from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.linear_contributions import integrated_gradients
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.feature_owners import FeatureOwners
from online_models.frozen_encoder import FrozenEncoder
from online_models.placement_model import ArmStatistics, PlacementModel
from online_models.probes import Probe, answers_to, probes_of
from online_models.reward_model import FloatArray
from online_models.waiting_names import Name

MAX_ARMS = 20
"""That are looked into: those that have most outcomes. A River model takes a prediction for each probe of each."""

MAX_EFFECTS = 10
"""Of an arm, the largest."""

MAX_FEATURES = 50

MIN_SEEN = 10
"""Contexts that had a level before it is named: a rarer one may be somebody's alone. One that no more than
``bringers.MAX_BRINGERS`` persons brought is not named however often they came, nor is a number's name."""

RECENT = 64
"""Contexts that say what matters: two milliseconds each with landmarks, whatever the number of arms."""


class Effect(msgspec.Struct, frozen=True):
    """What a feature changes about an estimate, reward units.

    Attributes
    ----------
    what
        A number by its name, a level of a category as ``device=phone``.
    change
        Of a number by one standard deviation more, about the mean; of a level against the mean context.
    """

    what: str
    change: float


class Matter(msgspec.Struct, frozen=True):
    """How much a feature moves estimates up or down, in the mean over contexts and arms, reward units."""

    feature: str
    moves: float


class ArmInsight(msgspec.Struct, frozen=True):
    """One arm.

    Attributes
    ----------
    held
        Outcomes that its estimate rests on: fewer than it was shown if the model let go of some, or counts them
        by a sample.
    share_of_late
        Of the last outcomes that the model keeps, how many were its own, in [0, 1]; None: the model keeps none.
    mean_estimate
        In the mean context; None: it is not looked into.
    effects
        The largest first.
    """

    arm: str
    exposures: float
    held: int
    first_ms: int | None
    last_ms: int | None
    share_of_late: float | None
    mean_estimate: float | None
    effects: list[Effect]


class ModelInsight(msgspec.Struct, frozen=True):
    """What a model says of itself.

    Attributes
    ----------
    matters
        The features that move estimates most, the most important first.
    matters_over
        ``recent contexts``, where the model keeps some: mean |contribution| there. Else ``mean ± deviation``: each
        feature alone a deviation from its mean, or at each level as often as that is seen.
    n_dimensions, n_landmarks
        Encoded features, and contexts at which the model may curve.
    adaptations
        What it did about itself, counted since it began: rebuilds, drift_resets, forgotten_arms …
    n_forgotten
        Times that it forgot somebody.
    """

    model: str
    n_learned: int
    arms: list[ArmInsight]
    matters: list[Matter]
    matters_over: Literal["recent contexts", "mean ± deviation"]
    n_dimensions: int
    n_landmarks: int
    adaptations: dict[str, int]
    n_forgotten: int


def insight_of(book: PlacementModel) -> ModelInsight:
    """Look into a model: some 100 ms, to be done off the loop."""
    model = book.model
    low, high = book.reward_range
    scale = high - low
    scorer = model.scorer() if isinstance(model, ArmModel) else model
    held = model.n_by_arm()
    looked_into = tuple(sorted(held, key=lambda arm: (-held[arm], arm))[:MAX_ARMS])
    encoder = model.encoder
    of_few = model.brought_by_few()
    probes = probes_of(encoder, book.n_learned, MIN_SEEN, of_few)
    at_mean = answers_to(scorer, looked_into, [np.zeros(encoder.n_dims, np.float32)])
    above = answers_to(scorer, looked_into, [probe.above for probe in probes])
    below = answers_to(scorer, looked_into, [probe.below for probe in probes])
    weights = np.array([held[arm] for arm in looked_into], dtype=np.float64)
    weights /= max(1.0, float(weights.sum()))
    recent = model.recent_contexts(RECENT) if isinstance(model, ArmModel) else None
    if isinstance(scorer, LinearScorer) and recent is not None and len(recent):
        matters = _over_contexts(scorer, looked_into, recent.astype(np.float64), weights)
    else:
        matters, recent = _over_probes(probes, above - at_mean, below - at_mean, weights), None
    late = model.shares_of_late() if isinstance(model, ArmModel) else None
    arms = []
    for arm in sorted({*book.arms, *held}, key=lambda arm: (-held.get(arm, 0), arm)):
        statistics = book.arms.get(arm) or ArmStatistics()
        at = looked_into.index(arm) if arm in looked_into else None
        arms.append(
            ArmInsight(
                arm,
                statistics.exposures,
                held.get(arm, 0),
                statistics.first_closed_ms or None,
                statistics.last_closed_ms or None,
                None if late is None else late.get(arm, 0.0),
                None if at is None else low + scale * float(at_mean[0, at]),
                [] if at is None else _effects(probes, scale * (above[:, at] - below[:, at])),
            )
        )
    by_size = sorted(matters.items(), key=lambda each: (-each[1], each[0]))[:MAX_FEATURES]
    return ModelInsight(
        book.spec.name,
        book.n_learned,
        arms,
        [Matter(name, scale * moved) for name, moved in by_size if moved and not _is_of_few(name, encoder, of_few)],
        "mean ± deviation" if recent is None else "recent contexts",
        encoder.n_dims,
        len(scorer.features.landmarks) if isinstance(scorer, LinearScorer) else 0,
        dict(book.adaptations),
        book.counts["forgotten"],
    )


def _is_of_few(feature: str, encoder: FrozenEncoder, of_few: Collection[Name]) -> bool:
    """Whether few persons have brought a feature, with all its levels."""
    levels = encoder.levels.get(feature)
    return (feature, None) in of_few if levels is None else all((feature, level) in of_few for level in levels)


def _effects(probes: list[Probe], change: FloatArray) -> list[Effect]:
    # From a deviation below to one above are two; from the mean to a level is the whole way.
    found = [
        Effect(probe.what, moved / 2.0 if probe.what == probe.feature else moved)
        for probe, moved in zip(probes, change.tolist(), strict=True)
        if moved
    ]
    return sorted(found, key=lambda each: (-abs(each.change), each.what))[:MAX_EFFECTS]


def _over_contexts(
    scorer: LinearScorer, arms: tuple[str, ...], contexts: FloatArray, weights: FloatArray
) -> dict[str, float]:
    """Mean |contribution| of each feature over n encoded contexts, shape (n, d), and arms by their outcomes."""
    groups = FeatureOwners(scorer.features.encoder, {}).groups()
    sums = dict.fromkeys(groups, 0.0)
    for z in contexts:
        parts = integrated_gradients(scorer, arms, z).by_dimension
        for name, dims in groups.items():
            sums[name] += float(weights @ np.abs(parts[:, dims].sum(axis=1)))
    return {name: total / len(contexts) for name, total in sums.items()}


def _over_probes(
    probes: list[Probe], above: FloatArray, below: FloatArray, weights: FloatArray
) -> dict[str, float]:
    sums: dict[str, float] = {}
    for probe, up, down in zip(probes, np.abs(above) @ weights, np.abs(below) @ weights, strict=True):
        is_number = probe.what == probe.feature
        moved = (float(up) + float(down)) / 2.0 if is_number else probe.often * float(up)
        sums[probe.feature] = sums.get(probe.feature, 0.0) + moved
    return sums
