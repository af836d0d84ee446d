"""The queue on disk: what was pushed comes out in order, and damage costs no more than what is damaged."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from eventlog.disk_queue import DiskQueue
from tests.unit.eventlog.spooling import record, segments_in


def emptied(queue: DiskQueue) -> list[object]:
    found: list[object] = []
    while batch := queue.peek(100, 10**6):
        found += batch
        queue.advance(len(batch))
    return found


def test_survives_its_process(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    assert queue.push([record(i) for i in range(10)]) == 10
    assert queue.peek(4, 10**6) == [record(i) for i in range(4)]
    queue.advance(4)
    queue.close()
    again = DiskQueue(tmp_path, 10**6)
    assert len(again) == 6
    assert again.peek(100, 10**6) == [record(i) for i in range(4, 10)]


def test_what_was_not_advanced_over_comes_again(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1), record(2)])
    queue.peek(1, 10**6)
    queue.close()
    assert DiskQueue(tmp_path, 10**6).peek(9, 10**6) == [record(1), record(2)]


def test_advances_over_what_it_was_never_asked_for(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(i) for i in range(10)])
    queue.advance(3)
    queue.peek(2, 10**6)
    queue.advance(4)
    assert emptied(queue) == [record(i) for i in range(7, 10)]
    assert (len(queue), queue.n_bytes) == (0, 0)


@pytest.mark.parametrize("cut", [1, 7, 9, 20])
def test_a_torn_tail_costs_only_itself(tmp_path: Path, cut: int) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1), record(2), record(3, 30)])
    queue.close()
    [path] = segments_in(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    again = DiskQueue(tmp_path, 10**6)
    assert again.corrupt_bytes > 0
    again.push([record(4)])
    assert emptied(again) == [record(1), record(2), record(4)]


def test_a_flipped_bit_costs_only_what_stands_behind_it_in_its_segment(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1), record(2, 50)])
    queue.close()
    [path] = segments_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    again = DiskQueue(tmp_path, 10**6)
    again.push([record(3)])
    assert emptied(again) == [record(1), record(3)]
    assert again.corrupt_bytes > 50
    assert len(again) == 0


def test_is_bounded_and_segments_that_were_read_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventlog.disk_queue.SEGMENT_BYTES", 300)
    queue = DiskQueue(tmp_path, 1000)
    n = 0
    while queue.push([record(n, 50)]):
        n += 1
    assert queue.n_bytes <= 1000
    assert len(segments_in(tmp_path)) > 1
    queue.advance(6)
    assert queue.push([record(n, 50)]) == 1


def test_a_record_larger_than_a_read_is_read_all_the_same(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1, 5000), record(2)])
    assert queue.peek(9, 100) == [record(1, 5000)]
    queue.advance(1)
    assert queue.peek(9, 100) == [record(2)]


@pytest.mark.parametrize("cursor", ["", "nonsense", "1", "1 2 3", "1 7", "99 5", "1 99999999", "1 -4"])
def test_a_damaged_cursor_is_a_fresh_start(tmp_path: Path, cursor: str) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(i) for i in range(10)])
    queue.advance(3)
    queue.close()
    (tmp_path / "cursor").write_text(cursor)
    again = DiskQueue(tmp_path, 10**6)
    assert len(again) == 10
    assert emptied(again) == [record(i) for i in range(10)]


def test_files_that_cannot_be_read_are_left_alone(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1)])
    queue.close()
    (tmp_path / "000000000007.spool").mkdir()
    (tmp_path / "notes.spool").write_text("mine")
    (tmp_path / "000000000005.spool").symlink_to(tmp_path / "nowhere")
    again = DiskQueue(tmp_path, 10**6)
    again.push([record(2)])
    assert emptied(again) == [record(1), record(2)]
    assert (tmp_path / "notes.spool").read_text() == "mine"
    assert (tmp_path / "000000000007.spool").is_dir()


def test_a_segment_that_can_no_longer_be_read_does_not_hold_up_the_others(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1)])
    queue.close()
    again = DiskQueue(tmp_path, 10**6)
    again.push([record(2)])
    [first, _] = segments_in(tmp_path)
    first.unlink()
    first.mkdir()
    assert emptied(again) == [record(2)]
    assert len(again) == 0


def test_its_files_are_private(tmp_path: Path) -> None:
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(1)])
    [path] = segments_in(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


class Disk:
    """Takes so many bytes more, then is full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**9
        self._write, self._cut = os.write, os.ftruncate
        self.cuts = True
        monkeypatch.setattr("eventlog.disk_queue.os.write", self.write)
        monkeypatch.setattr("eventlog.disk_queue.os.ftruncate", self.cut)

    def write(self, file: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        n_bytes = self._write(file, bytes(data)[: self.room])
        self.room -= n_bytes
        return n_bytes

    def cut(self, file: int, n_bytes: int) -> None:
        if not self.cuts:
            raise OSError(errno.EIO, "Input/output error")
        self._cut(file, n_bytes)


@pytest.mark.parametrize("cuts", [True, False])
@pytest.mark.parametrize("before", [0, 2])
def test_a_write_that_failed_half_way_leaves_nothing_in_front_of_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, cuts: bool
) -> None:
    disk = Disk(monkeypatch)
    disk.cuts = cuts
    queue = DiskQueue(tmp_path, 10**6)
    queue.push([record(i) for i in range(before)])
    disk.room = 30
    with pytest.raises(OSError, match="No space"):
        queue.push([record(10), record(11), record(12)])
    disk.room = 10**9
    assert queue.push([record(10), record(11)]) == 2
    expected = [*(record(i) for i in range(before)), record(10), record(11)]
    queue.close()
    again = DiskQueue(tmp_path, 10**6)
    # Where it could not be cut off, a frame that was written whole comes twice: readers know duplicates.
    assert list(dict.fromkeys(emptied(again))) == expected
