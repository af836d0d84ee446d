"""``GET /v1/placements/{name}/model``: what a placement's model goes by, for server keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from api.dialects.own.placements import found_placement
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from online_models.insight import ArmInsight, ModelInsight
from personalization.errors import InvalidInput, Unavailable
from personalization.projecting.calibration import OVER_MS, Calibrated, calibration


class ModelQuery(Query, frozen=True, kw_only=True):
    """Of which model."""

    variant: Annotated[str, Meta(description="Of this variant; empty: of the placement as it is written.")] = ""


class EffectAnswer(Answer, frozen=True, kw_only=True):
    """What a feature changes about an arm's estimate.

    Attributes
    ----------
    what
        A number by its name, a level of a category as ``device=phone``.
    change
        In reward: of a number by a standard deviation more, of a level against the mean context.
    """

    what: str
    change: float


class MatterAnswer(Answer, frozen=True, kw_only=True):
    """How far a feature moves estimates up or down, in reward, in the mean over contexts and arms."""

    feature: str
    moves: float


class ModelArm(Answer, frozen=True, kw_only=True):
    """One arm as the model knows it.

    Attributes
    ----------
    exposures
        All it was learned from, by weight.
    held
        Outcomes that its estimate rests on today: fewer if the model let go of some.
    first_ms, last_ms
        When its first and its last outcome closed; null: not known, or it had none.
    share_of_late
        Of the last 1,024 outcomes that the model keeps; null: it keeps none.
    mean_estimate
        In the mean context; null: the model knows more arms than are looked into.
    """

    content_id: str
    exposures: float
    held: int
    first_ms: int | None
    last_ms: int | None
    share_of_late: float | None
    mean_estimate: float | None
    effects: list[EffectAnswer]


class CalibratedAnswer(Answer, frozen=True, kw_only=True):
    """What was predicted when outcomes were decided, and what came, of a tenth of the reward's range."""

    low: float
    high: float
    outcomes: float
    predicted: float
    observed: float


class ModelAnswer(Answer, frozen=True, kw_only=True):
    """What a model says of itself.

    Attributes
    ----------
    matters_over
        ``recent contexts``: mean size of a feature's contribution there. ``mean ± deviation``: each feature alone.
    adaptations
        What the model did about itself, counted: rebuilds, drift_resets, forgotten_arms …
    forgotten
        Times that it forgot somebody.
    calibration
        Of the last seven days, by tenths of the reward's range; empty before the projector has added any up;
        null: it cannot be read.
    """

    placement: str
    variant: str | None
    model: str
    learned: int
    arms: list[ModelArm]
    matters: list[MatterAnswer]
    matters_over: str
    dimensions: int
    landmarks: int
    adaptations: dict[str, int]
    forgotten: int
    calibration: list[CalibratedAnswer] | None


MODEL_QUERY: QueryReader[ModelQuery] = QueryReader(ModelQuery)


async def show(call: Call) -> Reply:
    """Show what the model of a placement, or of a variant, goes by, as of the last durable checkpoint."""
    prepared = found_placement(call)
    name = call.params["name"]
    variant = MODEL_QUERY.read(call.scope["query_string"]).variant
    if variant:
        if variant not in prepared.variants:
            known = ", ".join(sorted(prepared.variants)) or "none"
            raise InvalidInput("variant", f"{name} has no variant {variant!r}; it has {known}", "unknown_variant")
        prepared = prepared.variants[variant]
    services = call.core.services
    spec = prepared.compiled.spec
    insight = await services.insight(prepared.compiled.model)
    if insight is None:
        insight = ModelInsight(spec.model, 0, [], [], "mean ± deviation", 0, 0, {}, 0)
    try:
        arms = await services.read_models.arms(name, OVER_MS, services.clock_ms())
    except Unavailable:  # what the model itself says stands without it
        calibrated = None
    else:
        calibrated = calibration(arms, variant, spec.reward_range)
    return reply(answer_of(insight, name, variant or None, calibrated))


def answer_of(
    insight: ModelInsight, placement: str, variant: str | None, calibrated: list[Calibrated] | None
) -> ModelAnswer:
    """An insight as callers get it."""
    return ModelAnswer(
        placement=placement,
        variant=variant,
        model=insight.model,
        learned=insight.n_learned,
        arms=[_arm(arm) for arm in insight.arms],
        matters=[MatterAnswer(feature=each.feature, moves=each.moves) for each in insight.matters],
        matters_over=insight.matters_over,
        dimensions=insight.n_dimensions,
        landmarks=insight.n_landmarks,
        adaptations=insight.adaptations,
        forgotten=insight.n_forgotten,
        calibration=None if calibrated is None else [_calibrated(each) for each in calibrated],
    )


def _calibrated(each: Calibrated) -> CalibratedAnswer:
    return CalibratedAnswer(
        low=each.low, high=each.high, outcomes=each.n, predicted=each.predicted, observed=each.observed
    )


def _arm(arm: ArmInsight) -> ModelArm:
    return ModelArm(
        content_id=arm.arm,
        exposures=arm.exposures,
        held=arm.held,
        first_ms=arm.first_ms,
        last_ms=arm.last_ms,
        share_of_late=arm.share_of_late,
        mean_estimate=arm.mean_estimate,
        effects=[EffectAnswer(what=each.what, change=each.change) for each in arm.effects],
    )
