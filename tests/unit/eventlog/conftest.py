"""Fixtures of the spool's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from background.supervisor import TaskSupervisor
from eventlog.port import EventLog
from eventlog.spool import Spool
from tests.unit.eventlog.spooling import FakeLog, SpoolOn


@pytest.fixture
async def spool_on(tmp_path: Path) -> AsyncIterator[SpoolOn]:
    """Makes spools that are kept at work; those a test has not closed are, at its end."""
    spools: list[Spool] = []
    async with TaskSupervisor() as tasks:

        def make(log: FakeLog, *, memory: int = 10**7, disk: int = 10**8, linger_s: float = 0) -> Spool:
            spool = Spool(
                cast(EventLog, log), tmp_path, max_memory_bytes=memory, max_disk_bytes=disk, linger_s=linger_s
            )
            spools.append(spool)
            tasks.keep(f"spool-{len(spools)}", spool.run, may_return=True)
            return spool

        yield make
    for spool in spools:
        await spool.drain(0)
