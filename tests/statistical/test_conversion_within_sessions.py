"""A model learns from sessions' starts and is asked at any moment: what it says within a visit must hold too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter

import numpy as np
import pytest

from online_models.conversion.book import ConversionBook
from online_models.conversion.metrics import Scorecard, scorecard
from personalization.audience.conversion_features import conversion_features
from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Catalog, Content, Conversion, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.events.event import Event, Page, Track
from tests.statistical.test_conversion_labels import Site

N_VISITORS = 4_000
N_DAYS = 30
WARM_DAYS = 8


def visits(seed: int) -> tuple[list[tuple[int, str, Event | None]], dict[str, list[int]]]:
    """What happens, in order (None: somebody asks for the score), and when each visitor bought.

    Visitors differ in how much they mean to buy, which shows in what they put into the basket.
    """
    rng = np.random.default_rng(seed)
    happens: list[tuple[int, str, Event | None]] = []
    bought: dict[str, list[int]] = {}
    for number in range(N_VISITORS):
        key, intent = f"a:{number}", rng.beta(1, 4)
        began_ms = int(rng.random() * N_DAYS * DAY_MS)
        for session in range(int(rng.integers(1, 5))):
            buys = rng.random() < 0.6 * intent
            now_ms = began_ms
            for step in range(int(rng.integers(1, 8))):
                name, draw = f"m{number}-{session}-{step}", rng.random()
                event: Event = Page(message_id=name)
                if draw < 0.6 * intent:
                    product = {"product_id": str(step), "price": 20.0}
                    event = Track(message_id=name, event="Product Added", properties=product)
                elif draw < 0.6:
                    event = Track(message_id=name, event="Product Viewed")
                happens.append((now_ms, key, event))
                last_ms = now_ms
                now_ms += int(rng.random() * 5 * MINUTE_MS)
            happens.append((last_ms + 1, key, None))
            if buys:
                at_ms = now_ms + int(rng.random() * 20 * MINUTE_MS) + 2
                order = Track(
                    message_id=f"b{number}-{session}", event="Order Completed", properties={"revenue": 20}
                )
                happens.append((at_ms, key, order))
                bought.setdefault(key, []).append(at_ms)
            began_ms += int((1.2 + 4 * rng.random()) * DAY_MS)
    return sorted(happens, key=itemgetter(0)), {key: sorted(times) for key, times in bought.items()}


def judged(asked: list[tuple[int, str, float]], bought: dict[str, list[int]]) -> Scorecard:
    def labels() -> Iterator[float]:
        for at_ms, key, _ in kept:
            times = bought.get(key, [])
            following = bisect_right(times, at_ms)
            yield float(following < len(times) and times[following] <= at_ms + DAY_MS)

    kept = [each for each in asked if WARM_DAYS * DAY_MS < each[0] < N_DAYS * DAY_MS]
    return scorecard(list(labels()), [served for *_, served in kept])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_visit_that_goes_on_is_judged_as_well_as_one_that_begins() -> None:
    site = Site("mature")
    site.catalog = compile_catalog(
        Catalog(
            placements={"hero": Placement(content=("a",), default="a")},
            content={"a": Content()},
            conversions={"buys": Conversion(event="Order Completed", horizon_ms=24 * HOUR_MS)},
        ),
        version=1,
    )
    site.book = ConversionBook("buys")
    happens, bought = visits(seed=0)
    within: list[tuple[int, str, float]] = []
    for now_ms, key, event in happens:
        site.until(now_ms)
        if event is not None:
            site.happens(key, event, now_ms)
            continue
        scope = VisitorScope(site.visitors[key].state, {}, site.catalog, now_ms, known=False)
        features = conversion_features(site.catalog.conversions["buys"], scope)
        within.append((now_ms, key, site.book.champion.predict(features)))
    at_start = scorecard(
        [float(label) for name, label in site.labels.items() if site.began[name] > WARM_DAYS * DAY_MS],
        [site.served[name] for name in site.labels if site.began[name] > WARM_DAYS * DAY_MS],
    )
    found = judged(within, bought)
    assert found.rows > 5_000
    assert found.calibration.error <= 0.02, f"floor {found.calibration.floor:.4f}"
    assert found.auc.value > at_start.auc.value, "and knows more by then"
