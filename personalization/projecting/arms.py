"""What the arms of each placement were chosen, shown and worth, by span of time and by side of the experiment.

A side is ``control`` for who is held out, a variant's name, empty for the placement as it is written, or
``unknown`` where the visitor's side was not known. An outcome counts as often as its ``sample_weight`` says. Of
outcomes whose arm a policy chose by a model, the prediction is added up beside the reward, in ten bins of the
reward's range: of a model that is calibrated the two agree in each bin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.catalog.split import CONTROL
from personalization.events.outcome import EARNED
from personalization.events.participant import Participant
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import Bucket, ReadSums, Sums, add
from personalization.visitor.choice import Choice

MAX_ARMS = 50
"""Of a placement and side that are told apart; what others bring is added up under ``OTHER_ARMS``."""

MAX_ALL_ARMS = 10_000
"""Of all placements and sides together, in a day: a span in which each is chosen and closed takes some 2 MB."""

OTHER_ARMS: Final = "…other"
UNKNOWN_SIDE: Final = "unknown"

MAX_BUCKETS = 4_096
"""Whose names are kept at hand."""

N_BINS = 10

_SEPARATOR = "\x1f"


class Span(NamedTuple):
    """Buckets of one length."""

    letter: str
    length_ms: int
    kept_ms: int


SPANS = (
    Span("m", MINUTE_MS, HOUR_MS),
    Span("h", HOUR_MS, 2 * DAY_MS),
    Span("d", DAY_MS, 90 * DAY_MS),
)
"""By minute for an hour, by hour for two days, by day for ninety."""

MAX_OVER_MS = SPANS[-1].kept_ms


class ArmOfSide(NamedTuple):
    """An arm of a placement, on one side of its experiment."""

    placement: str
    side: str
    arm: str


@dataclass(slots=True)
class CalibrationBin:
    """Outcomes whose prediction lay in a tenth of the reward's range.

    Attributes
    ----------
    n
        How many outcomes, by weight.
    predicted, reward
        The sums of what was predicted and of what came.
    """

    n: float = 0.0
    predicted: float = 0.0
    reward: float = 0.0


@dataclass(slots=True)
class ArmSums:
    """What an arm was chosen, shown and worth.

    Attributes
    ----------
    n_decisions, n_exposures
        How often it was chosen, and shown.
    n_outcomes
        How many of its decisions were shown and have closed with all that they earned, by weight.
    n_squares
        The sum of their squared weights: ``n_outcomes² / n_squares`` outcomes of equal weight tell as much.
    reward, reward_squares
        The sums of their rewards and of the squares of these, by weight.
    """

    n_decisions: float = 0.0
    n_exposures: float = 0.0
    n_outcomes: float = 0.0
    n_squares: float = 0.0
    reward: float = 0.0
    reward_squares: float = 0.0
    calibration: list[CalibrationBin] = field(default_factory=lambda: [CalibrationBin() for _ in range(N_BINS)])


class Arms:
    """The read model: adds decisions and outcomes to the sums of their arms.

    A placement has buckets of its own, so that who asks for one reads nothing of the others. In them the sum of an
    arm is called by its side and itself, and has the numbers of ``ArmSums`` in their order; that of one of its bins
    is called by the bin besides, and has those of ``CalibrationBin``. Which arms are told apart on a day stands in
    a bucket of that day.
    """

    def __init__(self, max_arms: int = MAX_ARMS, max_all_arms: int = MAX_ALL_ARMS) -> None:
        self._max_arms = max_arms
        self._max_all_arms = max_all_arms
        self._told_apart: dict[int, set[ArmOfSide]] = {}
        self._n_told_apart: dict[tuple[int, str, str], int] = {}
        self._buckets: dict[tuple[str, int], tuple[Bucket, ...]] = {}

    def decided(self, fact: DecisionFact, sums: Sums) -> None:
        """Add a decision, and that it was shown if it was so at once."""
        self._add(fact.choice, fact.decided_at_ms, (1.0, float(fact.exposed), 0.0, 0.0, 0.0, 0.0), sums)

    def closed(self, fact: OutcomeFact, sums: Sums) -> None:
        """Add an outcome, and that it was shown if that was later than its decision."""
        weight, reward = fact.sample_weight, fact.reward
        if fact.exposed_at_ms is None:
            return
        if fact.exposed_at_ms > fact.decided_at_ms:
            self._add(fact.choice, fact.exposed_at_ms, (0.0, weight, 0.0, 0.0, 0.0, 0.0), sums)
        if fact.reason not in EARNED or fact.shown_by_reward:
            return
        earned = weight * reward
        self._add(
            fact.choice, fact.closed_at_ms, (0.0, 0.0, weight, weight * weight, earned, earned * reward), sums
        )
        if fact.predicted is not None:
            bin_ = bin_of(fact.predicted, fact.reward_range)
            self._add(fact.choice, fact.closed_at_ms, (weight, weight * fact.predicted, earned), sums, str(bin_))

    def begin(self, now_ms: int) -> list[str]:
        """The buckets whose sums it has to be told before it adds to any: which arms are told apart."""
        day = now_ms // DAY_MS
        return [told_apart_on(each).name for each in (day - 1, day)]

    def remember(self, buckets: Mapping[str, ReadSums]) -> None:
        """Tell the arms apart that these sums tell apart, and no others."""
        self._told_apart.clear()
        self._n_told_apart.clear()
        for name, sums in buckets.items():
            day = int(name.rpartition(":")[2])
            self._told_apart[day] = set()
            for each in sums:
                self._tell_apart(day, ArmOfSide(*each.split(_SEPARATOR, 2)))

    def participated(self, participant: Participant, sums: Sums) -> None:
        """A participant is no arm."""

    def _add(self, choice: Choice, at_ms: int, numbers: Sequence[float], sums: Sums, bin_: str = "") -> None:
        of = self._told(ArmOfSide(choice.placement, side_of(choice), choice.arm), at_ms, sums)
        name = _SEPARATOR.join((of.side, of.arm, bin_))
        for bucket in self._buckets_of(of.placement, at_ms):
            add(sums[bucket], name, numbers)

    def _buckets_of(self, placement: str, at_ms: int) -> tuple[Bucket, ...]:
        key = placement, at_ms // MINUTE_MS
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) >= MAX_BUCKETS:
                self._buckets.clear()
            until_ms = [at_ms - at_ms % span.length_ms + span.length_ms + span.kept_ms for span in SPANS]
            names = [bucket_name(placement, span, at_ms // span.length_ms) for span in SPANS]
            found = self._buckets[key] = tuple(map(Bucket, names, until_ms))
        return found

    def _told(self, of: ArmOfSide, at_ms: int, sums: Sums) -> ArmOfSide:
        """The arm, or what those are called that are too many; each day they are told apart anew."""
        day = at_ms // DAY_MS
        day = max(day, max(self._told_apart, default=day) - 1)  # what is older yet goes by yesterday's
        if day not in self._told_apart:
            for old in [each for each in self._told_apart if each < day - 1]:
                del self._told_apart[old]
                self._n_told_apart = {key: n for key, n in self._n_told_apart.items() if key[0] != old}
            self._told_apart[day] = set()
        if of in self._told_apart[day]:
            return of
        n_told_apart = self._n_told_apart.get((day, of.placement, of.side), 0)
        if n_told_apart >= self._max_arms or len(self._told_apart[day]) >= self._max_all_arms:
            return of._replace(arm=OTHER_ARMS)
        self._tell_apart(day, of)
        add(sums[told_apart_on(day)], _SEPARATOR.join(of), ())
        return of

    def _tell_apart(self, day: int, of: ArmOfSide) -> None:
        self._told_apart[day].add(of)
        key = day, of.placement, of.side
        self._n_told_apart[key] = self._n_told_apart.get(key, 0) + 1


def side_of(choice: Choice) -> str:
    """The side of its placement's experiment that a choice was made on."""
    if choice.holdout is None:
        return UNKNOWN_SIDE
    return CONTROL if choice.holdout else choice.variant


def bin_of(predicted: float, reward_range: tuple[float, float]) -> int:
    """The tenth of the reward's range that a prediction lies in; what lies beyond is in the outermost.

    >>> [bin_of(p, (0.0, 1.0)) for p in (-0.2, 0.0, 0.19, 0.95, 1.0)], bin_of(5.0, (-10.0, 10.0))
    ([0, 0, 1, 9, 9], 7)
    """
    low, high = reward_range
    return min(N_BINS - 1, max(0, int(N_BINS * (predicted - low) / (high - low))))


def bucket_name(placement: str, span: Span, at: int) -> str:
    """The name of the bucket of a placement that is the ``at``-th of its span.

    >>> bucket_name("hero", SPANS[0], 2)
    'arms:m:2:hero'
    """
    return f"arms:{span.letter}:{at}:{placement}"


def told_apart_on(day: int) -> Bucket:
    """Of a day, the arms that are told apart on it."""
    return Bucket(f"arms:told:{day}", (day + 3) * DAY_MS)


def buckets_over(placement: str, over_ms: int, now_ms: int) -> list[str]:
    """The buckets of the last ``over_ms``: the shortest that are kept so long, the one that it begins in included.

    >>> buckets_over("hero", MINUTE_MS, 10 * MINUTE_MS + 1)
    ['arms:m:9:hero', 'arms:m:10:hero']
    >>> len(buckets_over("hero", DAY_MS, 0)), len(buckets_over("hero", 90 * DAY_MS, 0))
    (25, 91)
    """
    span = next((each for each in SPANS if over_ms <= each.kept_ms), SPANS[-1])
    first = (now_ms - over_ms) // span.length_ms
    return [bucket_name(placement, span, at) for at in range(first, now_ms // span.length_ms + 1)]


def arms_in(buckets: Iterable[ReadSums], placement: str) -> dict[ArmOfSide, ArmSums]:
    """What the sums of a placement's buckets say of its arms."""
    found: dict[ArmOfSide, ArmSums] = {}
    for sums in buckets:
        for name, numbers in sums.items():
            side, rest = name.split(_SEPARATOR, 1)
            arm, _, bin_ = rest.rpartition(_SEPARATOR)
            of_arm = found.setdefault(ArmOfSide(placement, side, arm), ArmSums())
            _take_up(of_arm.calibration[int(bin_)] if bin_ else of_arm, numbers)
    return found


def _take_up(to: ArmSums | CalibrationBin, numbers: Sequence[float]) -> None:
    for name, number in zip(_NUMBERS[type(to)], numbers, strict=False):
        setattr(to, name, getattr(to, name) + number)


_NUMBERS: Mapping[type, tuple[str, ...]] = {
    ArmSums: ("n_decisions", "n_exposures", "n_outcomes", "n_squares", "reward", "reward_squares"),
    CalibrationBin: ("n", "predicted", "reward"),
}
"""What the numbers of a sum are, in their order."""
