"""What an experiment's report says: the same for the command line, the API and the page."""

from __future__ import annotations

from typing import Literal

import msgspec

TREATED = "treated"
"""All sides but the control together. No variant may be called so."""


class Difference(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One side against another in one metric.

    Attributes
    ----------
    metric, unit
        What is compared, and what it is counted in; a share has no unit.
    kind
        A ``share`` of visitors, or the mean ``amount`` of a visitor.
    segment
        Of whom; empty: of everybody.
    side, against
        A variant's name, ``control``, ``TREATED``, or empty for the placement as it is written.
    n_side, n_against
        Participants of each.
    mean_side, mean_against
        The metric's mean of each.
    difference, low, high
        The mean of ``side`` less that of ``against``, with an interval that is valid at every look; None if nothing
        can be said yet.
    relative, relative_low, relative_high
        The same as a share of ``mean_against``; None if that is too near to 0.
    p_value
        At most α of all experiments without a difference ever have a value of α or less, in any of the segments and
        variants that are looked at.
    level
        Of the interval: 0.95, and more where several segments are looked at, or several variants.
    variance_reduction
        The share of the variance that what came before the first exposure explains, [0, 1]; of shares none is used.
    detectable
        The smallest relative difference that as many participants on this split find in four of five experiments.
    missing
        Why nothing can be said, and what to do, as a sentence; empty: something can.
    words
        What is found, as a sentence.
    """

    metric: str
    kind: Literal["share", "amount"]
    side: str
    against: str
    unit: str = ""
    segment: str = ""
    n_side: int = 0
    n_against: int = 0
    mean_side: float | None = None
    mean_against: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    p_value: float | None = None
    level: float = 0.95
    variance_reduction: float = 0.0
    detectable: float | None = None
    missing: str = ""
    words: str = ""


class Money(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What the treated brought beyond what they would have brought on the control, with intervals.

    Attributes
    ----------
    name
        ``incremental revenue`` (one for each metric that is money), ``incremental profit``, ``cost``,
        ``cost per conversion`` (one for each share), ``return on spend``.
    value, low, high
        None if nothing can be said; an infinite end is None too.
    """

    name: str
    metric: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    missing: str = ""
    words: str = ""


class Course(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """How soon a share came after the first exposure, on one side: a curve (Kaplan and Meier 1958).

    Attributes
    ----------
    until_ms
        Times since the first exposure.
    shares, low, high
        Of how many it had come by each of them, with 95 % intervals of a single look.
    """

    metric: str
    side: str
    until_ms: list[int]
    shares: list[float]
    low: list[float]
    high: list[float]


class ExperimentReport(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The report of one placement's experiment.

    Attributes
    ----------
    split
        The sides that are compared, and how probable each is today.
    horizon_ms
        How long each participant was watched.
    counts, crossovers
        By side, participants, and those among them who saw another side as well.
    split_p_value
        Whether visitors fell to the sides as the split says, looked at all the time; None: too few for a word.
    alarm
        What the split's test found, as a sentence; empty: nothing. With an alarm nothing else is said.
    missing
        Why the report says nothing at all, and what to do, as a sentence; empty: it says something.
    differences
        Everybody first, then by segment; the treated against the control first, then variant by variant.
    earlier
        What other experiments of the placement compared, each as the names of its sides.
    """

    placement: str
    split: dict[str, float]
    horizon_ms: int
    counts: dict[str, int] = {}
    crossovers: dict[str, int] = {}
    split_p_value: float | None = None
    alarm: str = ""
    missing: str = ""
    differences: list[Difference] = []
    money: list[Money] = []
    courses: list[Course] = []
    earlier: list[list[str]] = []

    @property
    def says_something(self) -> bool:
        """Whether a difference could be judged."""
        return any(not each.missing for each in self.differences)
