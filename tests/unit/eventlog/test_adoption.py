"""Directories of spools: one for each process, and what dead ones left is taken over."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from eventlog.port import EventLog
from eventlog.spool import Spool
from eventlog.spool_slots import Slot, abandoned, hold
from tests.running import eventually
from tests.unit.eventlog.spooling import FakeLog, SpoolOn, left_by_the_dead, numbers


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestSlots:
    """Each process has a directory of its own; what a dead one left is anybody's."""

    async def test_each_process_has_a_directory_of_its_own(self, tmp_path: Path) -> None:
        log = FakeLog()
        first, second = Spool(cast(EventLog, log), tmp_path), Spool(cast(EventLog, log), tmp_path)
        assert names_in(tmp_path) == ["0", "1"]
        await first.drain(1)
        third = Spool(cast(EventLog, log), tmp_path)
        assert names_in(tmp_path) == ["0", "1"]
        await second.drain(1)
        await third.drain(1)

    async def test_directories_are_private(self, tmp_path: Path) -> None:
        (tmp_path / "0").mkdir(mode=0o755)
        spool = Spool(cast(EventLog, FakeLog()), tmp_path)
        assert stat.S_IMODE((tmp_path / "0").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "0" / "lock").stat().st_mode) == 0o600
        await spool.drain(1)

    async def test_any_process_drains_any_spool_nobody_holds(
        self, spool_on: SpoolOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("eventlog.adoption.ADOPT_S", 0.02)
        log = FakeLog()
        spool = spool_on(log)
        dead = [
            left_by_the_dead(tmp_path / str(number), range(number * 1000, number * 1000 + 700)) for number in (3, 5)
        ]
        held = left_by_the_dead(tmp_path / "4", range(4000, 4003))
        for slot in dead:
            slot.release()
        await eventually(lambda: spool.n_adopted == 1400 and spool.n_waiting == 0)
        assert numbers(log) == [*range(3000, 3700), *range(5000, 5700)]
        await eventually(lambda: names_in(tmp_path) == ["0", "4"])
        held.release()
        await eventually(lambda: spool.n_adopted == 1403 and spool.n_waiting == 0)

    async def test_a_drain_that_is_cut_short_leaves_the_rest_to_the_next(
        self, spool_on: SpoolOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("eventlog.adoption.ADOPT_S", 0.02)
        log = FakeLog()
        log.hangs.clear()
        spool = spool_on(log)
        left_by_the_dead(tmp_path / "3", range(700)).release()
        await eventually(lambda: spool.n_adopted == 700 and log.n_calls == 1)
        assert await spool.drain(0.05) == 700
        log.hangs.set()
        again = spool_on(log)
        await eventually(lambda: again.n_adopted == 700 and again.n_waiting == 0)
        assert list(dict.fromkeys(numbers(log))) == list(range(700))

    async def test_what_cannot_be_read_is_looked_at_once(
        self, spool_on: SpoolOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        looks = 0

        def look(root: Path, but_not: Mapping[Path, int]) -> Slot | None:
            nonlocal looks
            looks += 1
            return abandoned(root, but_not)

        monkeypatch.setattr("eventlog.adoption.abandoned", look)
        monkeypatch.setattr("eventlog.adoption.ADOPT_S", 0.001)
        (tmp_path / "3" / "000000000001.spool").mkdir(parents=True)
        spool_on(FakeLog())
        await eventually(lambda: looks > 20)
        # The lock file that the first look made has changed the directory once.
        assert 1 <= caplog.messages.count("spool_segment_unreadable") <= 2

    def test_a_lock_file_that_was_removed_meanwhile_is_no_lock(self, tmp_path: Path) -> None:
        slot = hold(tmp_path / "0")
        assert slot is not None
        assert hold(tmp_path / "0") is None
        slot.remove()
        assert not (tmp_path / "0").exists()
        again = hold(tmp_path / "0")
        assert again is not None
        again.release()
