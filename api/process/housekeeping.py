"""What is done twice a second beside the requests: gauges and counters brought up to date."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from prometheus_client import Counter

from api.http.door import closed_so_far
from api.process.spooling import SpoolWatch
from api.reading.wire import n_unknown
from api.services.ports import Services
from background.cancelling import pause
from eventlog.spool import Spool
from personalization.catalog.rule_errors import RuleErrorTotals
from personalization.errors import Unavailable
from state.model_store import ModelFollower

logger = logging.getLogger(__name__)

EVERY_S = 0.5


class Total:
    """Hands a number that only grows to a counter, by what was added since the last time."""

    def __init__(self, counter: Counter, so_far: int = 0) -> None:
        self._counter = counter
        self._so_far = so_far

    def reached(self, total: int) -> None:
        """It is ``total`` now."""
        if total > self._so_far:
            self._counter.inc(total - self._so_far)
            self._so_far = total


class Housekeeper:
    """Keeps the metrics of a process current; ``data_dir`` is where it writes."""

    def __init__(
        self, services: Services, spool: Spool, watch: SpoolWatch, models: ModelFollower, data_dir: Path
    ) -> None:
        self._services = services
        self._spool = spool
        self._watch = watch
        self._models = models
        self._data_dir = data_dir
        self._warned: set[str] = set()
        self._dropped = Total(services.metrics.spool_dropped)
        self._unknown = Total(services.metrics.unknown_fields, n_unknown())
        self._closed: dict[str, Total] = {}
        self._said: set[str] = set()
        rule_errors = services.metrics.rule_errors
        self._rules = RuleErrorTotals(lambda rule, n: rule_errors.labels(rule).inc(n))

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.look()
            due_s = loop.time() + EVERY_S
            await pause(EVERY_S)
            self._services.metrics.loop_delay_seconds.observe(max(0.0, loop.time() - due_s))

    def look(self) -> None:
        """Bring everything up to date, and what was observed into its histograms."""
        services, metrics = self._services, self._services.metrics
        metrics.flush()
        metrics.disk(self._data_dir)
        metrics.spool_depth.set(self._spool.n_waiting)
        self._dropped.reached(self._spool.n_dropped)
        self._unknown.reached(n_unknown())
        for reason, n_closed in closed_so_far().items():
            counter = metrics.connections_closed.labels(reason)
            self._closed.setdefault(reason, Total(counter)).reached(n_closed)
        self._watch.look()
        report = services.readiness()
        warned = {*report.missing, *report.warnings}
        for part in self._warned | warned:
            metrics.not_well.labels(part).set(part in warned)
        self._warned |= warned
        with contextlib.suppress(Unavailable):
            catalog = services.catalog.current.catalog
            now_ms = services.clock_ms()
            ages_ms = {
                placement: services.models.age_ms([placement], now_ms)
                for placement in self._models.placements
                if placement in catalog.models
            }
            metrics.models_are(ages_ms)
            metrics.catalog_version.set(catalog.version)
            for rule, errors in self._rules.look(catalog).items():
                if rule not in self._said:
                    self._said.add(rule)
                    logger.warning("rule_failed", extra={"rule": rule, "reason": errors.last_error})
