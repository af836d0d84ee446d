"""What became of the participants of each placement's experiment, by day, side and segment: counts and sums alone.

A participant counts on the day their horizon closed. Beside what came of them stands what had come before their
first exposure, and the products of both: with these a difference can be freed of what visitors brought with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from personalization.catalog.duration import DAY_MS
from personalization.evaluation.strata import EVERYBODY, TIMES_MS, MetricSums, SideSums, Stratum
from personalization.events.participant import Participant
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import Bucket, ReadSums, Sums, add

KEPT_DAYS = 400
"""A year, and a month to look at it."""

_SEPARATOR = "\x1f"


class Experiments:
    """The read model: adds participants to the sums of their side, of each of their segments and of everybody.

    A placement has a bucket of each day. In it a sum is called by the split, the segment and the side, and that of
    a metric by its name besides.
    """

    def begin(self, now_ms: int) -> list[str]:
        """It has to know nothing beforehand."""
        return []

    def remember(self, buckets: Mapping[str, ReadSums]) -> None:
        """Nothing is remembered."""

    def decided(self, fact: DecisionFact, sums: Sums) -> None:
        """A decision is no participant."""

    def closed(self, fact: OutcomeFact, sums: Sums) -> None:
        """Nor is an outcome."""

    def participated(self, participant: Participant, sums: Sums) -> None:
        """Add a participant."""
        day = participant.closed_at_ms // DAY_MS
        to = sums[Bucket(bucket_name(participant.placement, day), (day + KEPT_DAYS) * DAY_MS)]
        for segment in (EVERYBODY, *participant.segments):
            side = (_written(participant.split, participant.horizon_ms), segment, participant.side)
            add(to, _SEPARATOR.join(side), (1.0, float(participant.crossover), participant.cost))
            for metric in participant.values.keys() | participant.before.keys():
                y, x = participant.values.get(metric, 0.0), participant.before.get(metric, 0.0)
                add(to, _SEPARATOR.join((*side, metric)), (y, y * y, x, x * x, x * y))
        side = (_written(participant.split, participant.horizon_ms), EVERYBODY, participant.side)
        for metric, after_ms in participant.after_ms.items():
            at = next((at for at, until_ms in enumerate(TIMES_MS) if after_ms <= until_ms), None)
            if at is not None:
                add(to, _SEPARATOR.join((*side, metric, str(at))), (1.0,))


def bucket_name(placement: str, day: int) -> str:
    """The name of a placement's bucket of a day since 1970.

    >>> bucket_name("hero", 20_000)
    'experiments:20000:hero'
    """
    return f"experiments:{day}:{placement}"


def strata_in(buckets: Iterable[ReadSums]) -> list[Stratum]:
    """What the sums of a placement's buckets say, split by split."""
    found: dict[str, Stratum] = {}
    for sums in buckets:
        for name, numbers in sums.items():
            split, segment, side, *rest = name.split(_SEPARATOR)
            stratum = found.setdefault(split, _read(split))
            of_side = stratum.segments.setdefault(segment, {}).setdefault(side, SideSums())
            _take_up(of_side, rest, numbers)
    return list(found.values())


def _take_up(side: SideSums, rest: Sequence[str], numbers: Sequence[float]) -> None:
    if not rest:
        side.n += numbers[0]
        side.n_crossover += numbers[1]
        side.cost += numbers[2]
        return
    metric = side.metrics.setdefault(rest[0], MetricSums())
    if len(rest) == 2:
        metric.times[int(rest[1])] += numbers[0]
        return
    metric.total += numbers[0]
    metric.squares += numbers[1]
    metric.before += numbers[2]
    metric.before_squares += numbers[3]
    metric.products += numbers[4]


def _written(split: Mapping[str, float], horizon_ms: int) -> str:
    """A split and a horizon as part of a name.

    >>> _written({"control": 0.1, "": 0.9}, 60_000), _read("60000;control=0.1;=0.9").split
    ('60000;control=0.1;=0.9', {'control': 0.1, '': 0.9})
    """
    return ";".join([str(horizon_ms), *(f"{side}={share:.9g}" for side, share in split.items())])


def _read(text: str) -> Stratum:
    horizon_ms, *sides = text.split(";")
    parts = (each.rpartition("=") for each in sides)
    return Stratum({side: float(share) for side, _, share in parts}, int(horizon_ms))
