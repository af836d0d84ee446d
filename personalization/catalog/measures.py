"""Windows as features: ``min(count("Product Viewed", within="7d"), 5)`` is a number that a model may look at.

How much is kept of a visitor follows from the catalog, so a count and a sum say up to where they count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal as OneOf

from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import Call, Literal, text_of
from personalization.catalog.windows import MAX_AMOUNTS, MAX_TIMES, Series, series_of

_EXAMPLES = {
    "count": 'min(count("Product Viewed", within="7d"), 5)',
    "sum": 'min(sum("Order Completed", of="properties.revenue", within="30d"), 500)',
    "since": 'since("Login")',
}


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of a visitor's past.

    Attributes
    ----------
    kind
        How often, how much, or how many days ago.
    most
        Up to where it counts; of ``since`` nothing.
    within_ms
        How far back it looks; of ``since`` nothing.
    """

    kind: OneOf["count", "sum", "since"]
    series: Series
    within_ms: int
    most: float

    @property
    def n_kept(self) -> int:
        """How many of the latest events have to be kept to tell."""
        return {"count": int(self.most), "sum": MAX_AMOUNTS, "since": 1}[self.kind]


def is_measure(feature: str) -> bool:
    """Whether a feature is written as one, or tries to be: names have no brackets."""
    return "(" in feature


def read_measure(feature: str) -> Measure:
    """A feature that is a measure.

    Raises
    ------
    Unreadable
        If it is none, with the remedy.

    >>> read_measure('min(count("Viewed", within="7d"), 5)').n_kept
    5
    """
    match parse(feature):
        case Call(None, "min", (Call(None, "count" | "sum") as call, Literal(int() | float() as most))) if most > 0:
            series, within_ms = series_of(call)
            assert within_ms is not None
            if call.function == "sum":
                return Measure("sum", series, within_ms, most)
            if most == int(most) and most <= MAX_TIMES:
                return Measure("count", series, within_ms, most)
            raise Unreadable(f"{feature} counts to {most:g}; a count is kept up to {MAX_TIMES}, in whole numbers")
        case Call(None, "since") as call:
            series, _ = series_of(call)
            return Measure("since", series, 0, 0.0)
        case Call(None, "count" | "sum" as function) as node:
            raise Unreadable(f"{text_of(node)} has to say up to where it counts, such as {_EXAMPLES[function]}")
        case node:
            raise Unreadable(f"{text_of(node)} is no number of a visitor's past; those are {_all_examples()}")


def measures_of(features: Iterable[str]) -> Iterator[tuple[str, Measure]]:
    """(feature, measure) of those that are any; what cannot be read is refused elsewhere."""
    for feature in features:
        if is_measure(feature):
            try:
                yield feature, read_measure(feature)
            except Unreadable:
                continue


def _all_examples() -> str:
    *others, last = _EXAMPLES.values()
    return f"{', '.join(others)} and {last}"
