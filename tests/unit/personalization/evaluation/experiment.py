"""Experiments for tests: a compiled placement, and sums of participants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personalization.catalog.catalog import Catalog, Content, Conversion, Metric, Placement, RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.variants import PlacementVariant
from personalization.evaluation.experiment_report import Difference, ExperimentReport
from personalization.evaluation.judging import report_of
from personalization.evaluation.strata import EVERYBODY, MetricSums, SideSums, Stratum

METRICS = {
    "revenue": Metric(event="Ordered", value="properties.revenue", cap=500.0, margin=0.4, unit="EUR"),
    "read": Metric(event="Read", value="properties.minutes", cap=60.0),
}


HORIZON_MS = 7 * DAY_MS


def shop(
    holdout: float = 0.5, variants: Mapping[str, float] | None = None, *, is_measured: bool = True
) -> CompiledCatalog:
    placement = Placement(
        content=("red", "blue"),
        default="red",
        holdout=holdout,
        horizon_ms=HORIZON_MS,
        variants={name: PlacementVariant(share=share) for name, share in (variants or {}).items()},
        weights={"click": 1.0} if is_measured else {},
        rewards=(RewardRule(event="Clicked", name="click"),) if is_measured else (),
    )
    return compile_catalog(
        Catalog(
            placements={"hero": placement},
            content={"red": Content(body="red"), "blue": Content(body="blue")},
            metrics=METRICS if is_measured else {},
            conversions={"ordered": Conversion(event="Ordered", horizon_ms=DAY_MS)} if is_measured else {},
        ),
        1,
    )


def share(k: float, times: Mapping[int, float] | None = None) -> MetricSums:
    """Of a share that came of k."""
    found = MetricSums(k, k)
    for at, often in (times or {}).items():
        found.times[at] = often
    return found


def amount(n: float, mean: float, sd: float) -> MetricSums:
    """Of an amount, nothing having come before."""
    return MetricSums(n * mean, n * (sd**2 + mean**2))


def stratum(split: Mapping[str, float], **sides: SideSums) -> Stratum:
    """Of everybody. ``written`` stands for the side of the placement as it is written."""
    return Stratum(
        dict(split),
        HORIZON_MS,
        {EVERYBODY: {"" if name == "written" else name: sums for name, sums in sides.items()}},
    )


def report(catalog: CompiledCatalog, *strata: Stratum, **more: Any) -> ExperimentReport:
    return report_of(catalog.placements["hero"], catalog.metrics, strata, **more)


def said(found: ExperimentReport, metric: str, side: str = "treated", segment: str = "") -> Difference:
    [one] = [
        each for each in found.differences if (each.metric, each.side, each.segment) == (metric, side, segment)
    ]
    return one
