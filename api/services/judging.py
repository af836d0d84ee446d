"""Experiments are judged one at a time and beside the event loop, so that decisions go on meanwhile."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from api.services.read_models import ReadModels
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.evaluation.experiment_report import ExperimentReport
from personalization.evaluation.judging import report_of

_SWITCH_S = 0.0005
"""So soon the event loop has the interpreter back while a report is judged: a decision asks for it several times,
and would miss its deadline if it waited for the usual 5 ms each time."""


class Judging:
    """Judges experiments: whoever asks waits for whoever asked before."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    async def report(
        self, placement: str, catalog: CompiledCatalog, read_models: ReadModels, now_ms: int, *, by_segment: bool
    ) -> ExperimentReport:
        """The report of a placement that the catalog has; raises ``Unavailable``.

        By segment it costs as much again for every segment that somebody is in.
        """
        async with self._one_at_a_time:
            strata = await read_models.strata(placement, now_ms)
            segments = None if by_segment else ()
            judge = partial(report_of, catalog.placements[placement], catalog.metrics, strata, segments=segments)
            usual_s = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_S)
            try:
                return await asyncio.to_thread(judge)
            finally:
                sys.setswitchinterval(usual_s)
