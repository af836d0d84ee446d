"""Which sides of an experiment are compared, and who was on them, split by split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from personalization.catalog.split import AS_WRITTEN, CONTROL
from personalization.evaluation.experiment_report import TREATED
from personalization.evaluation.strata import EVERYBODY, MetricSums, SideSums, Stratum


class Pair(NamedTuple):
    """Two sides that are compared.

    Attributes
    ----------
    side, against
        Their names (``experiment_report.Difference``).
    n_comparisons
        How many pairs of the report ask the same question, this one among them.
    """

    side: str
    against: str
    n_comparisons: int = 1


class Cell(NamedTuple):
    """The participants of a pair's two sides who came under one split.

    Attributes
    ----------
    share
        Of those on either of the two sides, how probable it was to be on the first, 0 < π < 1.
    """

    share: float
    side: SideSums
    against: SideSums

    @property
    def n(self) -> float:
        """Participants on either side."""
        return self.side.n + self.against.n

    @property
    def overlap(self) -> float:
        """What each participant weighs: π(1 − π), so that one on an uneven split weighs as much as they tell."""
        return self.share * (1.0 - self.share)


def pairs_of(split: Mapping[str, float]) -> list[Pair]:
    """The treated against those held out, then each variant against the placement as it is written.

    Where nobody sees it as it is written, variants are compared with the first of them.

    >>> [(each.side, each.against) for each in pairs_of({"control": 0.1, "": 0.5, "bold": 0.4})]
    [('treated', 'control'), ('bold', '')]
    """
    treated = [side for side in split if side != CONTROL]
    base = AS_WRITTEN if AS_WRITTEN in split else min(treated, default="")
    variants = [side for side in treated if side != base]
    pairs = [Pair(TREATED, CONTROL)] if CONTROL in split and treated else []
    return pairs + [Pair(each, base, len(variants)) for each in variants]


def cells_of(pair: Pair, strata: Iterable[Stratum], segment: str = EVERYBODY) -> list[Cell]:
    """What the strata say of the pair in a segment; those that nobody of it came under say nothing."""
    found = []
    for stratum in strata:
        sides = stratum.segments.get(segment, {})
        names = members(pair.side, stratum.split), members(pair.against, stratum.split)
        side, against = (together([sides[each] for each in these if each in sides]) for these in names)
        shares = [sum(stratum.split[each] for each in these) for these in names]
        if side.n + against.n and all(shares):
            found.append(Cell(shares[0] / sum(shares), side, against))
    return found


def members(side: str, split: Mapping[str, float]) -> list[str]:
    """The sides of a split that a side of a pair stands for."""
    return [each for each in split if each != CONTROL] if side == TREATED else [side]


def together(sides: Sequence[SideSums]) -> SideSums:
    """The sums of several sides as those of one."""
    if len(sides) == 1:
        return sides[0]
    found = SideSums()
    for side in sides:
        found.n += side.n
        found.n_crossover += side.n_crossover
        found.cost += side.cost
        for name, metric in side.metrics.items():
            into = found.metrics.setdefault(name, MetricSums())
            into.total += metric.total
            into.squares += metric.squares
            into.before += metric.before
            into.before_squares += metric.before_squares
            into.products += metric.products
            into.times = [one + other for one, other in zip(into.times, metric.times, strict=True)]
    return found


def means(cells: Sequence[Cell], metric: str) -> tuple[float, float]:
    """The metric's mean of each side, splits weighing by what they tell (Hájek); 0 of a side without any."""
    totals, weights = [0.0, 0.0], [0.0, 0.0]
    for cell in cells:
        for at, (sums, weight) in enumerate(((cell.side, 1.0 - cell.share), (cell.against, cell.share))):
            weights[at] += weight * sums.n
            totals[at] += weight * sums.metrics[metric].total if metric in sums.metrics else 0.0
    side, against = (float(t / w) if w else 0.0 for t, w in zip(totals, weights, strict=True))
    return side, against
