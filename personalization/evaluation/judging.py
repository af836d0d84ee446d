"""The report of a placement's experiment, from the sums of its participants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from personalization.catalog.compiled_catalog import CompiledPlacement
from personalization.catalog.sections.metrics import PROFIT, CompiledMetric, is_reward, reward_metric
from personalization.catalog.split import CONTROL
from personalization.evaluation.comparing import ALPHA, Asked, Comparison, compare
from personalization.evaluation.course import course_of, course_sides
from personalization.evaluation.experiment_report import TREATED, Course, Difference, ExperimentReport
from personalization.evaluation.money import money_of
from personalization.evaluation.sample_ratio import Split, p_value
from personalization.evaluation.sides import Pair, cells_of, pairs_of
from personalization.evaluation.strata import EVERYBODY, Stratum
from personalization.evaluation.wording import duration_words, share_words, side_words

ALARMING = 0.001
"""A split that holds is doubted at most this often, at whatever look."""


def report_of(
    placement: CompiledPlacement,
    metrics: Mapping[str, CompiledMetric],
    strata: Sequence[Stratum],
    *,
    segments: Sequence[str] | None = None,
) -> ExperimentReport:
    """What the participants tell of the sides that the placement compares today.

    Parameters
    ----------
    metrics
        The catalog's, by name.
    strata
        All participants of the placement, split by split.
    segments
        Those that are looked at: the more, the wider is the interval of each. None: all that anybody was in.
    """
    sides = set(placement.split)
    present = [each for each in strata if sides and set(each.split) == sides and _is_watched(placement, each)]
    counts, crossovers = dict.fromkeys(placement.split, 0), dict.fromkeys(placement.split, 0)
    for stratum in present:
        for side, sums in stratum.segments.get(EVERYBODY, {}).items():
            counts[side] += round(sums.n)
            crossovers[side] += round(sums.n_crossover)
    report = ExperimentReport(
        placement=placement.name,
        split=dict(placement.split),
        horizon_ms=placement.spec.horizon_ms,
        counts=counts,
        crossovers=crossovers,
        earlier=_earlier(sides, strata),
    )
    asked = list(_asked(placement, metrics, present))
    if missing := _missing(report, asked, is_changed=len(present) < len(strata)):
        return msgspec.structs.replace(report, missing=missing)
    splits = _splits(placement, present)
    report = msgspec.structs.replace(report, split_p_value=p_value(splits))
    if report.split_p_value is not None and report.split_p_value < ALARMING:
        return msgspec.structs.replace(report, alarm=_alarm(report, splits))
    return _judged(report, asked, metrics, present, segments)


def _judged(
    report: ExperimentReport,
    asked: Sequence[Asked],
    metrics: Mapping[str, CompiledMetric],
    strata: Sequence[Stratum],
    segments: Sequence[str] | None,
) -> ExperimentReport:
    pairs = pairs_of(report.split)
    if segments is None:
        segments = sorted({segment for stratum in strata for segment in stratum.segments} - {EVERYBODY})
    differences: list[Difference] = []
    for segment in (EVERYBODY, *segments):
        n_segments = len(segments) if segment else 1
        for pair in pairs:
            alpha = ALPHA / (n_segments * pair.n_comparisons)
            where = Comparison(pair, segment, cells_of(pair, strata, segment), report.horizon_ms, alpha)
            differences += [compare(each, where) for each in asked]
    money = []
    if any(each.metric == PROFIT for each in differences) and CONTROL in report.split:
        cells = cells_of(Pair(TREATED, CONTROL), strata)
        money = money_of(metrics, differences, cells, _unit_of_money(metrics))
    report = msgspec.structs.replace(
        report, differences=differences, money=money, courses=_courses(report, asked, strata)
    )
    if report.says_something:
        return report
    soonest = next((each for each in differences if each.kind == "share"), differences[0])
    return msgspec.structs.replace(report, missing=soonest.missing)


def _courses(report: ExperimentReport, asked: Sequence[Asked], strata: Sequence[Stratum]) -> list[Course]:
    found = (
        course_of(each.metric, side, strata, report.horizon_ms)
        for each in asked
        if each.is_share
        for side in course_sides(report.split)
    )
    return [each for each in found if each is not None and each.shares[-1] > 0.0]


def _asked(
    placement: CompiledPlacement, metrics: Mapping[str, CompiledMetric], strata: Sequence[Stratum]
) -> Iterator[Asked]:
    """The catalog's metrics, the placement's rewards, and profit if there are margins or costs."""
    for name, metric in metrics.items():
        yield Asked(name, metric.is_share, metric.unit)
    sums = [side for stratum in strata for side in stratum.segments.get(EVERYBODY, {}).values()]
    rewards = dict.fromkeys(reward_metric(each.name) for each in placement.spec.rewards)
    rewards |= dict.fromkeys(sorted({name for side in sums for name in side.metrics if is_reward(name)}))
    for name in rewards:
        yield Asked(name, is_share=True)
    earning = tuple(name for name, metric in metrics.items() if metric.margin is not None)
    if earning or any(side.cost for side in sums):
        large = tuple(
            name for name in earning if not metrics[name].is_share and (metrics[name].margin or 0.0) > 0.0
        )
        yield Asked(PROFIT, is_share=False, unit=_unit_of_money(metrics), parts=large)


def _unit_of_money(metrics: Mapping[str, CompiledMetric]) -> str:
    """What the metrics with a margin are counted in, if all are in the same."""
    units = {each.unit for each in metrics.values() if each.margin is not None and not each.is_share}
    return units.pop() if len(units) == 1 else ""


def _splits(placement: CompiledPlacement, strata: Sequence[Stratum]) -> list[Split]:
    found = []
    for stratum in strata:
        sides = stratum.segments.get(EVERYBODY, {})
        n = {side: round(sides[side].n) if side in sides else 0 for side in placement.split}
        if any(n.values()):
            # What is written of a split is rounded.
            total = sum(stratum.split.values())
            found.append(Split([stratum.split[side] / total for side in n], list(n.values())))
    return found


def _earlier(sides: set[str], strata: Sequence[Stratum]) -> list[list[str]]:
    found: list[list[str]] = []
    for stratum in strata:
        if set(stratum.split) != sides and sorted(stratum.split) not in found:
            found.append(sorted(stratum.split))
    return found


def _is_watched(placement: CompiledPlacement, stratum: Stratum) -> bool:
    """Whether these were watched as long as participants are today: others had more time, or less."""
    return stratum.horizon_ms == placement.spec.horizon_ms


def _missing(report: ExperimentReport, asked: Sequence[Asked], *, is_changed: bool) -> str:
    if not report.split:
        return f"Placement “{report.placement}” compares nothing: give it a `holdout`, such as 0.05, or `variants`."
    if not asked:
        return "Nothing is measured: give the catalog `metrics` or `conversions`, or the placement `rewards`."
    if not any(report.counts.values()):
        watched = duration_words(report.horizon_ms)
        told = " Who took part before sides or horizon were changed is in another experiment." if is_changed else ""
        return (
            f"Nobody has been watched to the end yet: who takes part is watched for {watched} after their first "
            f"exposure. Come back then, or give the placement a shorter `horizon`.{told}"
        )
    return ""


def _alarm(report: ExperimentReport, splits: Sequence[Split]) -> str:
    """What the split's test found, by the side that is furthest from what was expected."""
    expected = [sum(split.shares[at] * sum(split.counts) for split in splits) for at in range(len(report.split))]
    total = sum(expected)
    far = [
        (count - wanted) ** 2 / wanted if wanted else 0.0
        for count, wanted in zip(report.counts.values(), expected, strict=True)
    ]
    at = far.index(max(far))
    side, count = list(report.counts.items())[at]
    step = 10.0 ** -max(3, len(str(round(total))) // 2)
    return (
        f"Visitors did not fall to the sides as the split says: {share_words(count / total, step)} of {total:,.0f} "
        f"are {side_words(side)}, where {share_words(expected[at] / total, step)} should be. No difference between "
        "sides means anything until that is understood: look for a side that fails to load, robots on one side, or "
        "a side that reports its exposures otherwise."
    )
