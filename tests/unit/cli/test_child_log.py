"""A child's output, on disk and to people."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from cli.child import LogFile
from cli.supervisor import Supervisor
from tests.unit.cli.small_children import STEADY, child, until


async def test_output_goes_to_the_log_and_warnings_are_shown(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    lines = """
    print("2026-01-01 10:00:00,000 INFO stream.folding.folder started", flush=True)
    print("2026-01-01 10:00:00,000 WARNING stream.folding.folder lease_lost", flush=True)
    print("x" * 1_000_000, flush=True)
    print("last", flush=True)
    """
    await supervisor.start(child("noisy", tmp_path, textwrap.dedent(lines) + STEADY))
    log = tmp_path / "noisy.log"
    await until(lambda: log.read_text().endswith("last\n"))
    assert "INFO stream.folding.folder started" in log.read_text()
    assert said == ["noisy: 2026-01-01 10:00:00,000 WARNING stream.folding.folder lease_lost"]
    await supervisor.stop()


async def test_a_log_that_cannot_be_written_stops_no_child(tmp_path: Path) -> None:
    """On a full disk a pipe that nobody read would hold the child up with its next line."""
    log = tmp_path / "noisy.log"
    log.symlink_to("/dev/full")
    done = tmp_path / "done"
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    code = f"""
    ready()
    for n in range(3_000): print("x" * 100, flush=True)
    print("2026-01-01 10:00:00,000 ERROR state.redis_watch redis_not_well", flush=True)
    pathlib.Path({str(done)!r}).touch()
    time.sleep(600)
    """
    await supervisor.start(child("noisy", tmp_path, textwrap.dedent(code)))
    await until(done.exists)
    await until(lambda: bool(said))
    assert said == ["noisy: 2026-01-01 10:00:00,000 ERROR state.redis_watch redis_not_well"]
    await supervisor.stop()


def test_a_log_tells_how_many_lines_the_disk_took_none_of(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.mkdir()
    log = LogFile(path)
    for _ in range(3):
        log.write(b"lost\n")
    path.rmdir()
    log.write(b"kept\n")
    log.close()
    assert path.read_text() == "(3 lines were left out: the disk took none)\nkept\n"


def test_a_log_of_objects_tells_it_by_an_object(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.mkdir()
    log = LogFile(path)
    log.write(b'{"event":"lost"}\n')
    path.rmdir()
    log.write(b'{"event":"kept"}\n')
    log.close()
    told, kept = map(json.loads, path.read_text().splitlines())
    assert (told["event"], told["n_lines"], kept) == ("lines_left_out", 1, {"event": "kept"})


def test_a_log_is_set_aside_at_its_bound_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"of the start before\n")
    log = LogFile(path, max_bytes=100)
    for n in range(40):
        log.write(b"%02d %s\n" % (n, b"x" * 16))
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 200
    log.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["worker.log", "worker.log.1"]
    kept = ((tmp_path / "worker.log.1").read_text() + path.read_text()).splitlines()
    assert [int(line.split()[0]) for line in kept] == list(range(40 - len(kept), 40))
    assert len(kept) > 5


def test_a_line_longer_than_the_bound_is_kept(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "worker.log", max_bytes=10)
    for line in (b"a" * 50 + b"\n", b"b" * 50 + b"\n"):
        log.write(line)
    log.close()
    assert (tmp_path / "worker.log.1").read_bytes() == b"a" * 50 + b"\n"
    assert (tmp_path / "worker.log").read_bytes() == b"b" * 50 + b"\n"
