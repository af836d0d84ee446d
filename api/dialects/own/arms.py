"""``GET /v1/placements/{name}/arms``: what each arm was chosen, shown and worth lately, for server keys."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from api.errors import no_such_name
from api.http.answer import Answer, reply
from api.http.dialect import Call, Reply
from api.http.query import Query, QueryReader
from personalization.catalog.duration import MINUTE_MS, read_duration_ms
from personalization.errors import InvalidInput
from personalization.evaluation.intervals import normal, wilson
from personalization.projecting.arms import MAX_OVER_MS, N_BINS, ArmSums


class OverQuery(Query, frozen=True, kw_only=True):
    """How far back to look."""

    over: Annotated[
        str,
        Meta(
            description="Such as `15m`, `24h`, `30d`: by minute up to an hour, by hour up to two days, else by day."
        ),
    ] = "1h"


OVER_QUERY: QueryReader[OverQuery] = QueryReader(OverQuery)


class Calibration(Answer, frozen=True, kw_only=True):
    """What a model predicted in a tenth of the reward's range, and what came.

    Attributes
    ----------
    low, high
        Where the prediction lay; in the outermost tenths also beyond.
    outcomes
        By weight.
    predicted, observed
        The means of both.
    """

    low: float
    high: float
    outcomes: float
    predicted: float
    observed: float


class ShownArm(Answer, frozen=True, kw_only=True):
    """What an arm was chosen, shown and worth.

    Attributes
    ----------
    variant
        The side: ``control``, a variant, empty for the placement as it is written, or ``unknown``.
    share
        Of the decisions of its side.
    outcomes
        Decisions that were shown and have closed with all that they earned, by weight.
    reward
        Their mean reward; null: there was none.
    interval
        Of the mean, 95 %, as if each outcome were another person's: too narrow where the same people bring many;
        null: too few.
    """

    content_id: str
    variant: str
    decisions: float
    share: float
    exposures: float
    outcomes: float
    rewards: float
    reward: float | None
    interval: list[float] | None
    calibration: list[Calibration]


class ArmsAnswer(Answer, frozen=True, kw_only=True):
    """The arms of a placement on each side of its experiment, those that were chosen most first."""

    placement: str
    over_ms: int
    arms: list[ShownArm]


async def show(call: Call) -> Reply:
    """Show what each arm was chosen, shown and worth, as far as the projector has read."""
    services = call.core.services
    name = call.params["name"]
    over_ms = _over_ms(OVER_QUERY.read(call.scope["query_string"]).over)
    prepared = services.catalog.current.placements.get(name)
    if prepared is None:
        raise no_such_name("placement", name, services.catalog.current.placements)
    found = await services.read_models.arms(name, over_ms, services.clock_ms())
    reward_range = prepared.compiled.spec.reward_range
    of_side: dict[str, float] = {}
    for of, sums in found.items():
        of_side[of.side] = of_side.get(of.side, 0.0) + sums.n_decisions
    arms = [_shown(of.arm, of.side, sums, of_side[of.side], reward_range) for of, sums in found.items()]
    arms.sort(key=lambda arm: (arm.variant, -arm.decisions, arm.content_id))
    return reply(ArmsAnswer(placement=name, over_ms=over_ms, arms=arms))


def _over_ms(text: str) -> int:
    over_ms = read_duration_ms(text)
    if over_ms is None or not MINUTE_MS <= over_ms <= MAX_OVER_MS:
        raise InvalidInput("over", "must be a length of time from a minute to ninety days, such as 15m, 24h or 30d")
    return over_ms


def _shown(arm: str, side: str, sums: ArmSums, n_of_side: float, reward_range: tuple[float, float]) -> ShownArm:
    mean = sums.reward / sums.n_outcomes if sums.n_outcomes else None
    return ShownArm(
        content_id=arm,
        variant=side,
        decisions=sums.n_decisions,
        share=sums.n_decisions / n_of_side if n_of_side else 0.0,
        exposures=sums.n_exposures,
        outcomes=sums.n_outcomes,
        rewards=sums.reward,
        reward=mean,
        interval=None if mean is None else _interval(mean, sums, reward_range),
        calibration=_calibration(sums, reward_range),
    )


def _interval(mean: float, sums: ArmSums, reward_range: tuple[float, float]) -> list[float] | None:
    """The 95 % interval of the mean reward; of rewards between 0 and 1 one that holds for few outcomes as well.

    Sums know no persons: whose the outcomes are counts for nothing.
    """
    n = sums.n_outcomes**2 / sums.n_squares
    low, high = reward_range
    if low >= 0.0 and high <= 1.0:
        return list(wilson(min(1.0, max(0.0, mean)), n))
    if n < 2:
        return None
    variance = max(0.0, sums.reward_squares / sums.n_outcomes - mean**2) * n / (n - 1)
    interval = normal(mean, (variance / n) ** 0.5)
    return [interval.low, interval.high]


def _calibration(sums: ArmSums, reward_range: tuple[float, float]) -> list[Calibration]:
    low, high = reward_range
    width = (high - low) / N_BINS
    return [
        Calibration(
            low=low + at * width,
            high=low + (at + 1) * width,
            outcomes=found.n,
            predicted=found.predicted / found.n,
            observed=found.reward / found.n,
        )
        for at, found in enumerate(sums.calibration)
        if found.n
    ]
