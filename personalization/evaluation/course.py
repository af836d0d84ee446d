"""How soon a share came after the first exposure.

The curve is that of Kaplan and Meier (1958). Everybody was watched until the horizon ended, so nobody drops out
before it: the estimate is the share of whom it had come, and Greenwood's variance is that of a share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from personalization.catalog.split import CONTROL
from personalization.evaluation.experiment_report import TREATED, Course
from personalization.evaluation.intervals import wilson
from personalization.evaluation.sides import members, together
from personalization.evaluation.strata import EVERYBODY, TIMES_MS, SideSums, Stratum

LEAST_PARTICIPANTS = 100
"""Of a side, before its curve is drawn."""


def course_sides(split: Mapping[str, float]) -> list[str]:
    """The sides that have a curve.

    >>> course_sides({"control": 0.1, "": 0.9}), course_sides({"control": 0.1, "": 0.4, "bold": 0.5})
    (['treated', 'control'], ['treated', 'control', '', 'bold'])
    """
    treated = [side for side in split if side != CONTROL]
    if CONTROL not in split:
        return treated
    return [TREATED, CONTROL, *(treated if len(treated) > 1 else [])]


def course_of(metric: str, side: str, strata: Iterable[Stratum], horizon_ms: int) -> Course | None:
    """The curve of a share on a side until the horizon; None of too few participants.

    Participants of several splits count by how many of all they stand for, the inverse of their side's probability.
    """
    until_ms = [each for each in TIMES_MS if each < horizon_ms]
    n_times, ends_at = len(until_ms), horizon_ms
    n = weight = squared = total = 0.0
    by_time = [0.0] * n_times
    for stratum in strata:
        sides = stratum.segments.get(EVERYBODY, {})
        names = members(side, stratum.split)
        sums = together([sides[each] for each in names if each in sides])
        if not sums.n:
            continue
        stands_for = 1.0 / sum(stratum.split[each] for each in names)
        n += sums.n
        weight += stands_for * sums.n
        squared += stands_for**2 * sums.n
        times, came = _times(metric, sums)
        total += stands_for * came
        by_time = [one + stands_for * other for one, other in zip(by_time, times[:n_times], strict=True)]
    if n < LEAST_PARTICIPANTS:
        return None
    shares, so_far = [], 0.0
    for came in by_time:
        so_far += came
        shares.append(min(1.0, so_far / weight))
    shares.append(min(1.0, total / weight))
    ends = [wilson(share, weight**2 / squared) for share in shares]
    return Course(
        metric=metric,
        side=side,
        until_ms=[*until_ms, ends_at],
        shares=shares,
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
    )


def _times(metric: str, sums: SideSums) -> tuple[list[float], float]:
    found = sums.metrics.get(metric)
    return ([0.0] * len(TIMES_MS), 0.0) if found is None else (found.times, found.total)
