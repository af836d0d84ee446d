"""Late labels under growth: traffic doubles every month, half of the conversions come after half the horizon.

The real path: events are folded, what the fold tells goes to the learner's book in the order of the log, and the
probability served at a session's start is judged against the label known a horizon later.
"""

from __future__ import annotations

import heapq
import math
from typing import Literal

import numpy as np
import pytest

from online_models.conversion.book import ConversionBook
from online_models.conversion.metrics import Scorecard, scorecard
from personalization.catalog.catalog import Catalog, Content, Conversion, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.policy_spec import ModelSpec
from personalization.events.entry import Entry, Position
from personalization.events.event import Event, Page, TimedOut, Track
from personalization.events.example import Example, Stage
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
FIRST_MONTH = 700
N_MONTHS = 5

Labels = Literal["mature", "early"]


def catalog(labels: Labels) -> CompiledCatalog:
    buys = Conversion(event="Order Completed", horizon_ms=MONTH_MS, labels=labels, features=("context.visit",))
    return compile_catalog(
        Catalog(
            placements={"hero": Placement(content=("a",), default="a")},
            content={"a": Content()},
            conversions={"buys": buys},
        ),
        version=1,
    )


class Site:
    """Visitors, their log, and the book that learns from what folding it tells."""

    def __init__(self, labels: Labels) -> None:
        self.catalog = catalog(labels)
        self.book = ConversionBook("buys", ModelSpec("default", {"buffer_rows": 2048}))
        self.visitors: dict[str, Visitor] = {}
        self.served: dict[str, float] = {}
        self.began: dict[str, int] = {}
        self.labels: dict[str, bool] = {}
        self.timers: list[tuple[int, str]] = []
        self.n_entries = 0

    def happens(self, key: str, event: Event, now_ms: int) -> None:
        self.n_entries += 1
        entry = Entry(received_at_ms=now_ms, occurred_at_ms=now_ms, catalog_version=1, event=event)
        visitor = self.visitors.setdefault(key, Visitor.new())
        folded = fold(visitor, key, Position(1, self.n_entries), entry, self.catalog)
        if folded.due_ms is not None:
            heapq.heappush(self.timers, (folded.due_ms, key))
        for told in folded.emissions:
            assert isinstance(told, Example)
            if told.stage is Stage.OPENED:
                self.served[told.example_id] = self.book.champion.predict(told.features)
                self.began[told.example_id] = now_ms
            elif told.stage is Stage.CLOSED:
                self.labels[told.example_id] = told.label
            self.book.learn(told)

    def until(self, now_ms: int) -> None:
        """What is due by then times out."""
        while self.timers and self.timers[0][0] <= now_ms:
            due_ms, key = heapq.heappop(self.timers)
            self.happens(key, TimedOut(due_ms=due_ms), due_ms)

    def judged(self) -> Scorecard:
        """Everything that was served after the first model could know anything, and has matured."""
        names = [name for name in self.labels if self.began[name] >= MONTH_MS * 5 // 4]
        return scorecard([float(self.labels[name]) for name in names], [self.served[name] for name in names])


def simulate(labels: Labels, seed: int) -> Site:
    rng = np.random.default_rng(seed)
    site = Site(labels)
    starts = np.concatenate([
        np.sort(rng.integers(month * MONTH_MS, (month + 1) * MONTH_MS, FIRST_MONTH << month))
        for month in range(N_MONTHS)
    ])  # fmt: skip
    purchases: list[tuple[int, str]] = []
    for i, now_ms in enumerate(starts.tolist()):
        while purchases and purchases[0][0] <= now_ms:
            at_ms, key = heapq.heappop(purchases)
            site.until(at_ms)
            site.happens(key, Track(message_id=f"b{key}", event="Order Completed"), at_ms)
        site.until(now_ms)
        pages, source = float(rng.integers(0, 20)), ("ads", "mail", "search")[int(rng.integers(3))]
        score = -3.2 + 0.12 * pages + (1.2 if source == "mail" and pages > 8 else 0.0)
        visit = {"pages": pages, "source": source}
        site.happens(f"a:{i}", Page(message_id=f"p{i}", context={"visit": visit}), now_ms)
        if rng.random() < 1.0 / (1.0 + math.exp(-score)):
            # Median at half the horizon, all within it.
            heapq.heappush(purchases, (now_ms + int(rng.random() * MONTH_MS), f"a:{i}"))
    site.until(N_MONTHS * MONTH_MS)
    return site


@pytest.mark.slow
@pytest.mark.parametrize("labels", ["mature", "early"])
@pytest.mark.timeout(240)
def test_calibration_error_on_matured_cohorts_under_growth(labels: Labels) -> None:
    site = simulate(labels, seed=7)
    found = site.judged()
    assert found.rows > 8_000
    assert found.calibration.error <= 0.02, f"floor {found.calibration.floor:.4f}"
    assert found.auc.value > 0.7
    reported = site.book.scorecard()
    assert reported.rows == 5_000
    assert reported.calibration.error <= 0.02 + reported.calibration.floor, "as the learner's metrics say"
