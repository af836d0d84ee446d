"""Metrics of one API process and of several: what the living say of themselves, and what all have counted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from api.process.metrics import ApiMetrics, cause_of
from background.metrics import OTHER, Gauge, Histogram
from personalization.deciding.decision import Decision, Tier
from stream.metrics import FolderMetrics
from tests.unit.api.site import Site

SAY = """
import sys
from prometheus_client import CollectorRegistry
from api.process.metrics import ApiMetrics
metrics = ApiMetrics(CollectorRegistry())
metrics.spool_depth.set(7)
metrics.requests.labels("decide", "200").inc(3)
metrics.staged(0.001, 0.002, 0.003)
if "show" in sys.argv:
    print(metrics.exposition().decode())
"""


def say(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", SAY, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def decision(placement: str, tier: Tier = Tier.PERSONALISED, reason: str = "", **more: object) -> Decision:
    return Decision(placement, 0, "d", "c", {}, 1.0, "p", tier, reason, **more)  # type: ignore[arg-type]  # its own


def value(metrics: ApiMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def test_the_dead_keep_their_counts_and_lose_their_gauges(tmp_path: Path) -> None:
    say(tmp_path)
    say(tmp_path)
    shown = say(tmp_path, "show").splitlines()
    assert 'nextbest_requests_total{endpoint="decide",status="200"} 9.0' in shown
    assert "nextbest_spool_records 7.0" in shown


def test_processes_that_share_a_port_show_their_cpu_memory_and_when_the_latest_began(tmp_path: Path) -> None:
    def shown() -> dict[str, float]:
        lines = (line.split(" ") for line in say(tmp_path, "show").splitlines() if line.startswith("process_"))
        return {name: float(number) for name, number in lines}

    first = shown()
    before_s = time.time()
    second = shown()
    assert second["process_cpu_seconds_total"] > first["process_cpu_seconds_total"] > 0, "the dead keep theirs"
    assert first["process_start_time_seconds"] < before_s <= second["process_start_time_seconds"]
    assert second["process_resident_memory_bytes"] > 1e6


def test_what_several_processes_timed_is_added_up(tmp_path: Path) -> None:
    for _ in range(2):
        say(tmp_path, "show")
    shown = say(tmp_path, "show").splitlines()
    assert 'nextbest_decision_stage_seconds_count{stage="score"} 3.0' in shown
    assert 'nextbest_decision_stage_seconds_bucket{le="0.001",stage="score"} 0.0' in shown


def test_a_thousand_placements_make_as_many_series_as_the_bound_and_lose_no_decision() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    for n in range(1_000):
        metrics.decided(decision(f"p{n}", Tier.RULES, "no model could be read"), 0.001)
    metrics.flush()
    counts = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "nextbest_decision_seconds_count"
    ]
    assert len(counts) == Histogram.MAX_SERIES + 1
    assert sum(sample.value for sample in counts) == 1_000
    other = value(metrics, "nextbest_decision_seconds_count", tier="rules", placement=OTHER)
    assert other == 1_000 - Histogram.MAX_SERIES
    assert len(metrics.exposition().splitlines()) < 12_000


def test_beyond_the_bound_only_names_of_the_catalog_are_given_up() -> None:
    folder = FolderMetrics(CollectorRegistry())
    for n in range(10_000):
        folder.notes.labels("exposed" if n % 2 else "rewarded", f"p{n}", "a").inc()
    collected = next(iter(folder.notes.collect())).samples
    rest = {s.labels["kind"]: s.value for s in collected if s.labels["placement"] == OTHER}
    assert rest == {"exposed": 3_000, "rewarded": 3_000}


def test_a_series_given_up_and_named_again_is_found_again() -> None:
    gauge = Gauge("g", "A gauge", ["placement"], registry=None)
    for n in range(Gauge.MAX_SERIES + 5):
        gauge.labels(f"p{n}").set(n)
    gauge.labels("p3").set(42)
    by_placement = {s.labels["placement"]: s.value for s in next(iter(gauge.collect())).samples}
    assert by_placement["p3"] == 42
    assert by_placement[OTHER] == Gauge.MAX_SERIES + 4


def test_many_observations_at_once_are_as_many_one_by_one() -> None:
    amounts = [0.0, 0.0005, 0.00050001, 0.05, 0.0499, 2.5, 9.0, 0.003]
    one, many = (Histogram("h", "Amounts", buckets=(0.0005, 0.003, 0.05, 2.5), registry=None) for _ in "ab")
    for amount in amounts:
        one.observe(amount)
    many.observe_all(amounts)
    many.observe_all([])
    ones, manies = ([s.value for s in next(iter(h.collect())).samples] for h in (one, many))
    assert manies == pytest.approx(ones)
    assert len(ones) == 7


def test_nothing_is_told_of_a_model_whose_placement_was_removed() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    metrics.models_are({"home": 4_000, "campaign": 9_000_000, "new": None})
    metrics.models_are({"home": 5_000})
    collected = next(iter(metrics.model_age_seconds.collect())).samples
    assert [(s.labels["placement"], s.value) for s in collected] == [("home", 5.0)]


async def test_requests_go_on_while_metrics_are_made() -> None:
    metrics, turned = ApiMetrics(CollectorRegistry()), threading.Event()

    class Slow:
        def collect(self) -> Iterator[Metric]:
            assert turned.wait(20), "nothing else ran meanwhile"
            yield Metric("slow", "Takes long to be told", "gauge")

        def describe(self) -> list[Metric]:
            return []

    metrics.registry.register(cast("Collector", Slow()))
    scrape = asyncio.create_task(metrics.exposition_for(""))
    await asyncio.sleep(0)
    turned.set()
    text, _ = await scrape
    assert b"# TYPE slow gauge" in text
    assert b"nextbest_decisions_total" in text


async def test_a_traced_decision_is_an_exemplar_of_its_bucket_and_counted_once() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    metrics.decided(decision("home"), 0.004)
    metrics.decided(decision("home"), 0.030, trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    text, media_type = await metrics.exposition_for("application/openmetrics-text;version=1.0.0")
    assert media_type.startswith("application/openmetrics-text")
    found = {
        sample.labels["le"]: sample.exemplar
        for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == "nextbest_decision_seconds_bucket" and sample.exemplar
    }
    assert set(found) == {"0.05"}
    assert found["0.05"].labels == {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert found["0.05"].value == 0.030
    assert value(metrics, "nextbest_decision_seconds_count", tier="personalised", placement="home") == 2
    assert b"trace_id" not in metrics.exposition(), "Prometheus's own text knows none"


def test_decisions_are_counted_by_variant_and_holdout() -> None:
    metrics = ApiMetrics(CollectorRegistry())
    for variant, holdout in (("", False), ("bold", False), ("bold", False), ("", True)):
        metrics.decided(decision("home", variant=variant, holdout=holdout), 0.001)
    metrics.flush()

    def counted(variant: str, holdout: str) -> float:
        labels = {"placement": "home", "tier": "personalised", "variant": variant, "holdout": holdout}
        return value(metrics, "nextbest_decisions_total", **labels)

    assert (counted("", "no"), counted("bold", "no"), counted("", "yes")) == (1, 2, 1)


async def test_what_a_fault_made_worse_is_told_from_what_a_rule_did(site: Site) -> None:
    """The causes are read off the reasons that the ladder really gives."""
    site.visitors.away = True
    await site.decide("home.hero")
    site.visitors.away = False
    site.follower.reached_ms = 0
    await site.decide("home.hero")
    await site.decide("home.hero", deadlineMs=0.0001)
    site.metrics.flush()
    causes = {
        sample.labels["cause"]
        for family in site.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "nextbest_fallbacks_total" and sample.value
    }
    assert {"state", "model"} <= causes <= {"state", "model", "deadline"}


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("visitor state unreadable: drawn by thompson from 3 eligible", "state"),
        ("no visitor is named: drawn by thompson from 3 eligible", "nobody"),
        ("no consent to personalization: the first eligible by priority", "consent"),
        ("the model failed to answer: the first eligible by priority", "model"),
        ("nothing is eligible: the default content", "rule"),
    ],
)
def test_a_cause_is_a_word_whatever_the_reason_says(reason: str, cause: str) -> None:
    assert cause_of(reason) == cause


async def test_stages_of_a_decision_add_up_to_it_and_every_request_is_timed(site: Site) -> None:
    await site.decide("home.hero")
    await site.collect({"type": "page", "anonymousId": "a1"})
    await site.reward()
    site.metrics.flush()
    metrics = site.metrics
    parts = [value(metrics, "nextbest_decision_stage_seconds_sum", stage=s) for s in ("read", "score", "answer")]
    assert all(part > 0 for part in parts)
    [whole] = [
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "nextbest_decision_seconds_sum"
    ]
    assert sum(parts) == pytest.approx(whole)
    for endpoint in ("decide", "collect", "reward"):
        assert value(metrics, "nextbest_request_seconds_count", endpoint=endpoint) == 1, endpoint
    assert value(metrics, "nextbest_requests_open") == 0


async def test_a_request_under_way_is_open(site: Site) -> None:
    shown = await site.client.get("http://inner/metrics")
    assert "nextbest_requests_open 1.0" in shown.text
