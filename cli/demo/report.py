"""What the demo shows: a live table while it plays, the story at the end, or one JSON object."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cli.demo.accounting import Accounts
from cli.demo.replay import Measured
from cli.demo.scores import Scores

INTRO = (
    "Real people rating films (MovieLens-100k), in the order it happened, through\n"
    "the HTTP API. Each rating is an event; each time, home.hero shows one of eight\n"
    "shelves of films, and it counts as clicked when the next film that person likes\n"
    "stands on it. nextbest learns from every click and every missing click."
)


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of ``values`` lie (nearest rank); NaN where there are none.

    >>> percentile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class Report:
    """Renders scores and measurements at any moment of a run."""

    scores: Scores
    measured: Measured

    def table(self) -> Table:
        """Hit rates and times, as they stand."""
        scores, measured = self.scores, self.measured
        difference = scores.difference()
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold")
        table.add_column(justify="right")
        table.add_column()
        rates = (
            ("nextbest", scores.nextbest, "green"),
            ("most popular so far", scores.most_popular, "yellow"),
            ("uniform", scores.uniform, "red"),
        )
        for name, rate, colour in rates:
            table.add_row(name, _share(rate), Text("█" * _bar(rate), style=colour))
        table.add_row(
            "− most popular",
            f"{difference.mean:+.3f}" if scores.n else "–",
            f"95 %: {difference.low:+.3f} … {difference.high:+.3f}, by {scores.n_people} people"
            if scores.n_people > 1
            else "",
        )
        table.add_row("decide", *_times(measured.decide_ms, "request to answer, at the client"))
        table.add_row("freshness", *_times(measured.freshness_ms, "event sent to state updated"))
        return table

    def notes(self) -> list[str]:
        """What a reader must know to judge the figures."""
        measured = self.measured
        notes = []
        fallbacks = {tier: n for tier, n in measured.tiers.items() if tier != "personalised"}
        if fallbacks:
            text = ", ".join(f"{n:,} {tier}" for tier, n in sorted(fallbacks.items()))
            notes.append(f"{text} of {measured.n_decisions:,} answers fell back; they count, and train nothing.")
        if measured.n_decisions:
            share = measured.n_current / measured.n_decisions
            notes.append(f"{share:.1%} of the decisions knew all that the person had sent before.")
        if measured.n_probes_lost:
            notes.append(
                f"{measured.n_probes_lost} freshness probes gave up: those events were not seen in a state."
            )
        return notes

    def as_json(self, accounts: Accounts) -> dict[str, Any]:
        """The run as one object."""
        scores, measured = self.scores, self.measured
        difference = scores.difference()
        return {
            "events": measured.n_events,
            "decisions": scores.n,
            "hit_rate": {
                "nextbest": _rounded(scores.nextbest),
                "uniform": _rounded(scores.uniform),
                "most_popular": _rounded(scores.most_popular),
            },
            "difference": {
                "mean": _rounded(difference.mean),
                "low": _rounded(difference.low),
                "high": _rounded(difference.high),
            },
            "decide_ms": _percentiles(measured.decide_ms),
            "freshness_ms": _percentiles(measured.freshness_ms),
            "lost": accounts.lost,
            "duplicates": accounts.duplicates,
            "people": scores.n_people,
            "current_share": _rounded(measured.n_current / measured.n_decisions) if measured.n_decisions else None,
            "tiers": dict(sorted(measured.tiers.items())),
        }


class Live:
    """The live view: a progress bar over the table."""

    def __init__(self, report: Report, n_events: int) -> None:
        self._report = report
        self._progress = Progress(
            TextColumn("ratings sent"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True)
        )
        self._bar = self._progress.add_task("", total=n_events)

    def __rich__(self) -> RenderableType:
        self._progress.update(self._bar, completed=self._report.measured.n_events)
        return Group(self._progress, self._report.table())


def _share(rate: float) -> str:
    return "–" if math.isnan(rate) else f"{rate:.3f}"


def _bar(rate: float) -> int:
    return 0 if math.isnan(rate) else round(rate * 60)


def _times(values: list[float], what: str) -> tuple[str, str]:
    if not values:
        return "–", what
    return f"{percentile(values, 0.5):.1f} ms", f"p99 {percentile(values, 0.99):.1f} ms, {what}"


def _percentiles(values: list[float]) -> dict[str, float | None]:
    return {"p50": _rounded(percentile(values, 0.5), 2), "p99": _rounded(percentile(values, 0.99), 2)}


def _rounded(value: float, digits: int = 4) -> float | None:
    return round(value, digits) if math.isfinite(value) else None
