"""The tables of a report, cell by cell: the same in a terminal and on a page."""

from __future__ import annotations

from typing import NamedTuple

from operations.reporting import numbers
from operations.reporting.numbers import NOTHING, scale_of, scale_of_money
from operations.reporting.sides import compared, side_name
from personalization.evaluation.experiment_report import Difference, ExperimentReport, Money
from personalization.explaining.number_words import length


class Cell(NamedTuple):
    """A figure, and what belongs to it in smaller letters, if anything."""

    figure: str
    below: str = ""

    @property
    def in_line(self) -> str:
        """Both, where there is one line.

        >>> Cell("5 %", "of 100").in_line, Cell("5 %").in_line
        ('5 % (of 100)', '5 %')
        """
        return f"{self.figure} ({self.below})" if self.below else self.figure


DIFFERENCES = ("who", "this side", "the other", "difference", "interval", "relative", "p", "could be seen")
MONEY = ("what", "value", "interval")
SIDES = ("side", "visitors", "of all", "split today", "saw both sides")


def facts(report: ExperimentReport) -> str:
    """Who the report is about."""
    n = sum(report.counts.values())
    watched = f"each watched for {length(report.horizon_ms)} from the first time they were shown something"
    return f"{n:,} {'visitor' if n == 1 else 'visitors'}, {watched}."


def of_difference(difference: Difference) -> list[Cell]:
    """A row of ``DIFFERENCES``."""
    who = f"{difference.segment}: {compared(difference)}" if difference.segment else compared(difference)
    scale = scale_of(difference)
    of_relative = numbers.relative_interval(difference.relative_low, difference.relative_high)
    return [
        Cell(who),
        Cell(scale.mean(difference.mean_side), f"of {difference.n_side:,}"),
        Cell(scale.mean(difference.mean_against), f"of {difference.n_against:,}"),
        Cell(scale.change(difference.difference)),
        Cell(scale.interval(difference.low, difference.high), numbers.level(difference.level)),
        Cell(numbers.relative(difference.relative), "" if of_relative == NOTHING else of_relative),
        Cell(numbers.p_value(difference.p_value)),
        Cell(NOTHING if difference.detectable is None else numbers.share(difference.detectable)),
    ]


def of_money(money: Money) -> list[Cell]:
    """A row of ``MONEY``; without a value why there is none stands in its place."""
    is_said = not money.metric or money.metric in money.name.split()
    name = Cell(money.name if is_said else f"{money.name}: {money.metric}")
    if money.value is None:
        return [name, Cell(NOTHING), Cell(money.missing or money.words or NOTHING)]
    scale = scale_of_money(money)
    return [name, Cell(scale.mean(money.value)), Cell(scale.interval(money.low, money.high, signed=False))]


def of_sides(report: ExperimentReport) -> list[list[Cell]]:
    """The rows of ``SIDES``."""
    n = sum(report.counts.values())
    return [
        [
            Cell(side_name(side)),
            Cell(f"{report.counts.get(side, 0):,}"),
            Cell(numbers.share(report.counts.get(side, 0) / n) if n else NOTHING),
            Cell(numbers.share(wanted)),
            Cell(f"{report.crossovers.get(side, 0):,}"),
        ]
        for side, wanted in report.split.items()
    ]


def split_words(report: ExperimentReport) -> str:
    """Whether visitors fell to the sides as the split says."""
    value = report.split_p_value
    if value is None:
        return "Too few took part for a word on whether they fell to the sides as the split says."
    written = numbers.p_value(value)
    p = written if written.startswith("<") else f"= {written}"
    if report.alarm:
        return f"They did not fall to the sides as the split says (p {p})."
    return f"They fell to the sides as the split says (p {p})."


def earlier_words(report: ExperimentReport) -> str:
    """Which other sides were compared before; empty: none."""
    if not report.earlier:
        return ""
    named = "; ".join(", ".join(map(side_name, sides)) for sides in report.earlier)
    return f"Other sides were compared here earlier, and do not count: {named}."
