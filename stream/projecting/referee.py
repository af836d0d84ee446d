"""The referee: promotes policies on trial that would have brought more, and takes back those that do harm.

One projector is the referee, the one that holds the first partition of ``decisions``. It looks once a minute at
what was added up. What it does it publishes as a version of the catalog, with why: as people do by command.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from background.cancelling import pause
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.challengers import PROMOTED, Standing, contest_of
from personalization.evaluation.experiment_report import Difference
from personalization.evaluation.judging import report_of
from personalization.evaluation.policy_trial import compare
from personalization.evaluation.refereeing import Verdict, demotion, promotion, standing_of
from personalization.evaluation.trial_sums import TrialSums
from state.read_models import ReadModels
from state.transient import is_transient

logger = logging.getLogger(__name__)

LOOK_S = 60.0


async def differences_since(
    sums: ReadModels, catalog: CompiledCatalog, placement: CompiledPlacement, since_ms: int, now_ms: int
) -> Sequence[Difference]:
    """What is found of those who came after ``since_ms``: their horizons closed on days beyond that."""
    first_day = (since_ms + placement.spec.horizon_ms) // DAY_MS + 1
    n_days = now_ms // DAY_MS - first_day + 1
    if n_days < 1:
        return ()
    strata = await sums.strata(placement.name, now_ms, n_days)
    return report_of(placement, catalog.metrics, strata, segments=()).differences


class Catalogs(Protocol):
    """What follows the published versions (``state.catalog_follower``)."""

    @property
    def ready(self) -> bool:
        """Whether there is one."""
        ...

    @property
    def current(self) -> CompiledCatalog:
        """The version in force."""
        ...


class Sums(Protocol):
    """What the projectors have added up (``state.read_models``)."""

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        """Of a placement, by what a trial is called."""
        ...


class Publish(Protocol):
    """Publishes a standing."""

    async def __call__(self, version: int, placement: str, standing: Standing) -> int | None:
        """The new version; None: ``version`` is not the newest any more."""
        ...


class Referee:
    """Looks at every placement that has a challenger.

    Parameters
    ----------
    leads
        Whether this projector is the referee now.
    differences
        What was found of those who came to a placement since a moment, milliseconds since 1970.
    on_change
        Told of each verdict that was published: the placement, and what its challenger became.
    """

    def __init__(
        self,
        sums: Sums,
        catalogs: Catalogs,
        leads: Callable[[], bool],
        publish: Publish,
        differences: Callable[[CompiledPlacement, int], Awaitable[Sequence[Difference]]],
        on_change: Callable[[str, str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._sums = sums
        self._catalogs = catalogs
        self._leads = leads
        self._publish = publish
        self._differences = differences
        self._on_change = on_change
        self._now_ms = now_ms

    async def run(self) -> None:
        """Look once a minute, until cancelled."""
        while True:
            await pause(LOOK_S)
            try:
                if self._leads() and self._catalogs.ready:
                    await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("referee_waits", extra={"reason": str(error)})

    async def look(self) -> None:
        """Look at all of them once."""
        catalog = self._catalogs.current
        for name, placement in catalog.placements.items():
            if catalog.catalog.placements[name].challenger is None:
                continue
            verdict = await self._verdict(catalog, placement)
            if verdict is None:
                continue
            standing = Standing(
                contest_of(catalog.catalog.placements[name]), verdict.becomes, self._now_ms(), verdict.why
            )
            if await self._publish(catalog.version, name, standing) is not None:
                facts = {"placement": name, "became": verdict.becomes, "reason": verdict.why}
                logger.warning("policy_changed", extra=facts)
                self._on_change(name, verdict.becomes)
            return  # the next look is at the version that this, or somebody else, has published

    async def _verdict(self, catalog: CompiledCatalog, placement: CompiledPlacement) -> Verdict | None:
        written, standing = catalog.catalog.placements[placement.name], catalog.standings.get(placement.name)
        known = standing_of(written, standing)
        if known is not None and known.is_now == PROMOTED:
            return demotion(written, standing, await self._differences(placement, known.since_ms))
        if placement.shadow is None:
            return None
        sums = await self._sums.trials(placement.name, self._now_ms())
        trial = sums.get(placement.shadow.trial)
        return None if trial is None else promotion(written, standing, compare(trial))
