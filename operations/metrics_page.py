"""The page of docs that lists every metric, made from the registries of all roles."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from api.process.metrics import ApiMetrics
from background import metrics
from stream.learning.conversion_training import ConversionMetrics
from stream.learning.influence_watch import InfluenceWatch
from stream.metrics import FolderMetrics, LearnerMetrics, ProjectorMetrics

_HEAD = f"""# Metrics

What each process shows at `/metrics` on its inner port ([where that is](runbook.md)), by the conventions of
Prometheus: counters end in `_total`, times are seconds, sizes bytes. Whoever accepts OpenMetrics gets it; then a
decision that was traced is an exemplar of its latency, with its `trace_id`. Of several API processes on one port
any tells the sums of all, without exemplars. Beside these a process shows its own `process_…` (CPU, memory, files);
those of API processes that share a port are the sums of CPU and memory, and when the latest of them began.

A metric has at most {metrics.Counter.MAX_SERIES:,} series a process if it is a counter,
{metrics.Gauge.MAX_SERIES:,} if it is a gauge or a summary, {metrics.Histogram.MAX_SERIES} if it is a histogram.
Beyond them whatever a catalog or a caller names anew is counted under `{metrics.OTHER}`.

The rules and alerts that read them are in `deploy/prometheus/`, the dashboards in `deploy/grafana/`;
[the runbook](runbook.md) says what to do. This page is made from the registries by `python -m config.generate`.

| metric | type | labels | of | what it says |
|---|---|---|---|---|
"""


def registries() -> dict[str, CollectorRegistry]:
    """The registry of each role, with nothing counted yet."""
    learner = CollectorRegistry()
    ConversionMetrics(learner)
    InfluenceWatch(learner)
    return {
        "api": ApiMetrics(CollectorRegistry()).registry,
        "folder": FolderMetrics(CollectorRegistry()).registry,
        "learner": LearnerMetrics(learner).registry,
        "projector": ProjectorMetrics(lambda: 0.0, CollectorRegistry()).registry,
    }


def metric_names() -> set[str]:
    """Every name that a query may use of ours."""
    return {name for name in metrics.names(registries().values()) if name.startswith("nextbest_")}


def metrics_page() -> str:
    """The page as Markdown."""
    rows: dict[str, str] = {}
    shown_by: dict[str, list[str]] = {}
    for role, registry in registries().items():
        for name, metric in _metrics(registry):
            shown_by.setdefault(name, []).append(role)
            rows[name] = f"{metric._type} | {_labels(metric)} | {{roles}} | {_cell(metric._documentation)} |\n"
    return _HEAD + "".join(
        f"| `{name}` | {rows[name].replace('{roles}', ', '.join(shown_by[name]))}" for name in sorted(rows)
    )


def _metrics(registry: CollectorRegistry) -> Iterator[tuple[str, MetricWrapperBase]]:
    for metric in registry._collector_to_names:
        if isinstance(metric, MetricWrapperBase):
            yield metric._name + ("_total" if metric._type == "counter" else ""), metric


def _labels(metric: MetricWrapperBase) -> str:
    return ", ".join(f"`{label}`" for label in metric._labelnames)


def _cell(text: str) -> str:
    return text.replace("|", "¦")
