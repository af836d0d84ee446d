"""What experiments are judged by: which events count for the visitor who took part, and what they are worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from personalization.catalog.check import Check
from personalization.catalog.rules import Rule
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Spec
from personalization.catalog.vocabulary import EVENT

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

MAX_METRICS = 16
"""Each is kept of every visitor who takes part, and added up by side, segment and day."""

REWARD = "reward"
"""The metric of rewards without a name."""


PROFIT = "profit"
"""What the metrics with a margin earned, less what was shown cost."""


def reward_metric(name: str) -> str:
    """What the share of visitors is called whom a placement's reward of this name came of.

    >>> reward_metric("click"), reward_metric("")
    ('reward.click', 'reward')
    """
    return f"{REWARD}.{name}" if name else REWARD


def is_reward(metric: str) -> bool:
    """Whether a metric is of a placement's own rewards."""
    return metric == REWARD or metric.startswith(f"{REWARD}.")


class Metric(Spec, frozen=True, kw_only=True):
    """What experiments are judged by: the share of visitors of whom an event came, or what their events are worth.

    Attributes
    ----------
    event
        The event that counts.
    when
        CEL over the event: which of them count; all if absent.
    value
        A number, or CEL over the event giving one: then visitors count with the sum of it. If absent a visitor
        counts once, however often the event came.
    cap
        The most that one visitor counts for. Wanted with ``value``: single large sums hide every difference.
    margin
        How much of the value is earned, such as ``0.3``. Below 0 it is a cost, such as a discount. If absent the
        metric is no money.
    unit
        What the value is counted in, such as ``EUR``.
    """

    event: str
    when: Cel | None = None
    value: float | Cel | None = None
    cap: float | None = None
    margin: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class CompiledMetric:
    """A metric, ready.

    Attributes
    ----------
    value
        None: it counts whether it happened.
    cap
        The most that one visitor counts for; infinity: any amount.
    """

    name: str
    when: Rule | None
    value: float | Rule | None = None
    cap: float = math.inf
    margin: float | None = None
    unit: str = ""

    @property
    def is_share(self) -> bool:
        """Whether it is a share of visitors; else an amount of each."""
        return self.value is None


class MetricSection(Section[Metric]):
    """``metrics``. Every conversion is one too, unless a metric has its name."""

    name = "metrics"
    noun = "metric"

    def rules(self, where: str, spec: Metric) -> Iterator[RuleAt]:
        """Which events count, and what they are worth."""
        if spec.when is not None:
            yield RuleAt(f"{where}.when", spec.when, EVENT, "yes_no", spec.event)
        if isinstance(spec.value, str):
            yield RuleAt(f"{where}.value", spec.value, EVENT, "number", spec.event)

    def events(self, where: str, spec: Metric) -> Iterator[tuple[str, str]]:
        """The one that counts."""
        yield f"{where}.event", spec.event

    def compile_all(self, check: Check, compiled: CompiledCatalog, specs: Mapping[str, Metric]) -> None:
        """All of them, and the conversions."""
        super().compile_all(check, compiled, specs)
        check.demand(len(specs) <= MAX_METRICS, "metrics", f"are at most {MAX_METRICS}")
        for name, conversion in compiled.conversions.items():
            if name not in specs:
                _enter(compiled, conversion.spec.event, CompiledMetric(name, conversion.when))

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Metric) -> None:
        """By name, and by event."""
        where = f"metrics.{name}"
        is_free = not is_reward(name) and name != PROFIT
        check.demand(is_free, where, "is what placements' own rewards, and profit, are called; rename it")
        check.demand(bool(spec.event), f"{where}.event", "must name the event that counts")
        if spec.value is None:
            check.demand(spec.cap is None, f"{where}.cap", "limits a value: give the metric one, or leave out cap")
        else:
            remedy = "say what one visitor counts for at most, such as 500: single large sums hide every difference"
            is_cap = spec.cap is not None and math.isfinite(spec.cap) and spec.cap > 0
            check.demand(is_cap, f"{where}.cap", remedy)
        for field, number in (("value", spec.value), ("margin", spec.margin)):
            if isinstance(number, float):
                check.demand(math.isfinite(number), f"{where}.{field}", "must be a finite number")
        value: float | Rule | None = (
            check.of_event(spec.value, f"{where}.value") if isinstance(spec.value, str) else spec.value
        )
        cap = math.inf if spec.cap is None else spec.cap
        when = check.of_event(spec.when, f"{where}.when")
        _enter(compiled, spec.event, CompiledMetric(name, when, value, cap, spec.margin, spec.unit))


def _enter(compiled: CompiledCatalog, event: str, metric: CompiledMetric) -> None:
    compiled.metrics[metric.name] = metric
    for name in compiled.events.names(event):
        compiled.metrics_by_event.setdefault(name, []).append(metric)
