"""One process trims the log by age, and only where the log does not do so itself."""

from __future__ import annotations

from typing import Any

import pytest

from stream.folding.log_trimmer import LogTrimmer
from stream.metrics import FolderMetrics
from tests.unit.stream.fakes import MemoryLog


class Aging(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[int] = []

    async def trim_by_age(self, now_ms: int) -> int:
        self.told.append(now_ms)
        return 0


def trimmer(log: Any, *owned: int, log_age_ms: int = 604_800_000) -> LogTrimmer:
    return LogTrimmer(log, lambda: owned, FolderMetrics(), log_age_ms, lambda: 7)


async def test_the_owner_of_the_first_partition_tells_the_time() -> None:
    log = Aging()
    await trimmer(log, 1, 2).trim()
    assert log.told == []
    await trimmer(log, 0, 1).trim()
    assert log.told == [7]


async def test_a_log_that_looks_at_the_time_itself_is_left_alone() -> None:
    await trimmer(MemoryLog(), 0).trim()


@pytest.mark.parametrize(("log_age_ms", "every_s"), [(604_800_000, 60), (640_000, 10), (1_000, 1)])
def test_it_is_late_by_a_64th_of_the_age_or_a_minute(log_age_ms: int, every_s: float) -> None:
    assert trimmer(Aging(), log_age_ms=log_age_ms)._every_s == every_s
