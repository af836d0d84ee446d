"""``GET /v1/placements/{name}``: what was learned about the arms of a placement, for server keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from msgspec import structs

from api.errors import no_such_name
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.services.ports import ModelReport, Services
from online_models.imitation import Imitation
from online_models.placement_model import ArmReport
from online_models.snapshot import ModelSnapshot, unpack_version
from personalization.deciding.decider_catalog import PreparedPlacement


class LearnedArm(Answer, frozen=True, kw_only=True):
    """What an arm brought.

    Attributes
    ----------
    mean
        Reward as the model sees it without any context; null: it was never shown.
    interval
        Of the mean, 95 %, as if each outcome were another person's: too narrow where the same people bring many.
    """

    content_id: str
    exposures: int
    rewards: float
    mean: float | None
    interval: list[float]


class Apprentice(Answer, frozen=True, kw_only=True):
    """How a policy does that is not in force yet.

    Attributes
    ----------
    match_rate
        How often it would have shown what was shown, of decisions that have closed; null: of none yet.
    """

    decisions: int
    match_rate: float | None


class Learned(Answer, frozen=True, kw_only=True):
    """What a model has learned.

    Attributes
    ----------
    learned
        Outcomes, and times that it forgot somebody.
    trained_through
        Where in the outcomes the books end, by partition.
    """

    arms: list[LearnedArm]
    model: str | None
    model_version: int | None
    model_generation: int | None
    learned: int | None
    model_age_ms: int | None
    trained_through: dict[str, int] | None
    apprentice: Apprentice | None


class LearnedVariant(Learned, frozen=True, kw_only=True):
    """What the model of a variant has learned.

    Attributes
    ----------
    learn
        ``own``, or ``shared`` if these are the placement's own numbers.
    """

    share: float
    learn: Literal["own", "shared"]


class PlacementAnswer(Learned, frozen=True, kw_only=True):
    """What was learned about a placement's contents, also by each variant."""

    placement: str
    variants: dict[str, LearnedVariant]
    catalog_version: int


async def show(call: Call) -> Reply:
    """Show one placement: what each arm brought as of the last durable checkpoint, and the model that decides."""
    services = call.core.services
    name = call.params["name"]
    prepared = found_placement(call)
    variants = {}
    for variant, spec in prepared.compiled.spec.variants.items():
        learned = await _learned(services, prepared.variants[variant])
        variants[variant] = LearnedVariant(share=spec.share, learn=spec.learn, **structs.asdict(learned))
    told = PlacementAnswer(
        placement=name,
        variants=variants,
        catalog_version=services.catalog.current.catalog.version,
        **structs.asdict(await _learned(services, prepared)),
    )
    return reply(told)


def found_placement(call: Call) -> PreparedPlacement:
    """The placement that the path names; a 404 where there is none."""
    name, there = call.params["name"], call.core.services.catalog.current.placements
    prepared = there.get(name)
    if prepared is None:
        raise no_such_name("placement", name, there)
    return prepared


async def _learned(services: Services, prepared: PreparedPlacement) -> Learned:
    """What the model of a placement has learned, or that of one of its variants, which may be the same."""
    key = prepared.compiled.model
    model = services.models.get(key)
    book = await services.learned(key)
    reports = {report.arm: report for report in book.arms} if book else {}
    low, high = prepared.compiled.spec.reward_range
    arms = []
    for arm in _arms(prepared, reports):
        report = reports.get(arm) or ArmReport(arm, 0, 0.0, low, low, high)
        arms.append(
            LearnedArm(
                content_id=arm,
                exposures=report.exposures,
                rewards=report.rewards,
                mean=report.mean if report.exposures else None,
                interval=[report.low, report.high],
            )
        )
    version = model.version if isinstance(model, ModelSnapshot) else None
    generation, n_learned = unpack_version(version) if version is not None else (None, None)
    return Learned(
        arms=arms,
        model=model.model if isinstance(model, ModelSnapshot) else None,
        model_version=version,
        model_generation=generation,
        learned=n_learned,
        model_age_ms=services.models.age_ms([key], services.clock_ms()),
        trained_through=book.trained_through if book else None,
        apprentice=_apprentice(book) if prepared.compiled.spec.apprentice else None,
    )


def _apprentice(book: ModelReport | None) -> Apprentice:
    """How often the policy would have shown what was shown, of decisions that have closed."""
    imitation = Imitation() if book is None else book.imitation
    return Apprentice(decisions=imitation.n, match_rate=imitation.rate)


def _arms(prepared: PreparedPlacement, reports: Collection[str]) -> list[str]:
    """Its arms; of a placement whose arms come and go also those that are gone, as far as the model knows them."""
    arms, spec = prepared.candidates.arms, prepared.compiled.spec
    gone = sorted(set(reports).difference(arms)) if spec.tags or spec.arms == "caller" else []
    return [*arms, *gone]
