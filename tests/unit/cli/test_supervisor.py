"""The supervisor, with real small child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.child import ChildSpec
from cli.supervisor import ChildFailed, Supervisor

BOUND_S = 20.0


def child(name: str, folder: Path, code: str, **more: object) -> ChildSpec:
    """A Python child that holds the lifeline; ready once it has written ``NAME.ready``."""
    ready_file = folder / f"{name}.ready"
    program = f"""
import os, pathlib, signal, sys, time
from cli import lifeline
lifeline.hold()
def ready(): pathlib.Path({str(ready_file)!r}).write_text(str(os.getpid()))
{textwrap.dedent(code)}
"""

    async def ready() -> bool:
        return ready_file.exists() and ready_file.read_text() != ""

    return ChildSpec(name=name, command=(sys.executable, "-c", program), ready=ready, **more)


STEADY = "ready(); time.sleep(600)"


def alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()
    return status.rpartition(")")[2].split()[0] != "Z"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110 (what is waited for is outside this process)
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.02)


async def test_starts_in_order_and_stops_all(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(child("first", tmp_path, STEADY))
    await supervisor.start(child("second", tmp_path, STEADY), child("third", tmp_path, STEADY))
    pids = supervisor.pids()
    assert set(pids) == {"first", "second", "third"}
    assert all(alive(pid) for pid in pids.values())
    await supervisor.stop()
    assert not any(alive(pid) for pid in pids.values())
    assert said == []


async def test_stops_later_levels_before_earlier_ones(tmp_path: Path) -> None:
    order = tmp_path / "order"
    note = f"""
    def leave(*_):
        with open({str(order)!r}, "a") as file: file.write(sys.argv[0] or NAME)
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave); ready(); time.sleep(600)
    """
    supervisor = Supervisor(tmp_path, print)
    for name in "abc":
        await supervisor.start(child(name, tmp_path, f"NAME = {name!r}; sys.argv = ['']\n" + textwrap.dedent(note)))
    await supervisor.stop()
    assert order.read_text() == "cba"


async def test_restarts_what_dies_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(child("worker", tmp_path, STEADY))
    first = supervisor.pids()["worker"]
    (tmp_path / "worker.ready").unlink()
    os.kill(first, signal.SIGKILL)
    await until(lambda: any("is back" in line for line in said))
    second = supervisor.pids()["worker"]
    assert second != first
    assert alive(second)
    assert supervisor.restarts() == {"worker": 1}
    assert said[0] == "worker was ended by SIGKILL; starting it again in 0.2 s"
    await supervisor.stop()
    assert not alive(second)


async def test_backs_off_from_a_child_that_keeps_dying(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    code = "ready(); time.sleep(600 if not os.path.exists('broken') else 0); sys.exit(3)"
    spec = child("worker", tmp_path, f"os.chdir({str(tmp_path)!r})\n" + code)
    await supervisor.start(spec)
    (tmp_path / "broken").touch()
    os.kill(supervisor.pids()["worker"], signal.SIGKILL)
    await until(lambda: sum("exit code 3" in line for line in said) >= 3)
    delays = [float(line.rpartition(" in ")[2].split()[0]) for line in said if "starting it again" in line]
    assert delays[:4] == [0.2, 0.4, 0.8, 1.6]
    await supervisor.stop()


async def test_a_child_that_never_gets_ready_is_one_sentence(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, print)
    with pytest.raises(ChildFailed, match=r"^broken ended with exit code 4 before it was ready: no luck \(its log"):
        await supervisor.start(child("broken", tmp_path, "print('no luck'); sys.exit(4)"))
    with pytest.raises(ChildFailed, match=r"^slow was not ready within 0.3 s"):
        await supervisor.start(child("slow", tmp_path, "time.sleep(600)", ready_within_s=0.3))
    pids = supervisor.pids()
    await supervisor.stop()
    assert not any(alive(pid) for pid in pids.values())


async def test_kills_what_does_not_stop(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
    await supervisor.start(child("stubborn", tmp_path, stubborn, stop_within_s=0.5))
    pid = supervisor.pids()["stubborn"]
    await supervisor.stop()
    assert not alive(pid)
    assert said == ["stubborn did not stop within 0.5 s and was killed"]


async def test_output_goes_to_the_log_and_warnings_are_shown(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    lines = """
    print("2026-01-01 10:00:00,000 INFO stream.folder started", flush=True)
    print("2026-01-01 10:00:00,000 WARNING stream.folder lease_lost", flush=True)
    print("x" * 1_000_000, flush=True)
    print("last", flush=True)
    """
    await supervisor.start(child("noisy", tmp_path, textwrap.dedent(lines) + STEADY))
    log = tmp_path / "noisy.log"
    await until(lambda: log.read_text().endswith("last\n"))
    assert "INFO stream.folder started" in log.read_text()
    assert said == ["noisy: 2026-01-01 10:00:00,000 WARNING stream.folder lease_lost"]
    await supervisor.stop()


SUPERVISOR_PROGRAM = """
import asyncio, pathlib, sys
sys.path.insert(0, {tests!r})
from test_supervisor import STEADY, child
from cli.child import ChildSpec
from cli.supervisor import Supervisor
async def main():
    folder = pathlib.Path({folder!r})
    supervisor = Supervisor(folder, print)
    await supervisor.start(child("own", folder, STEADY))
    async def ready(): return True
    tethered = (sys.executable, "-m", "cli.tether", sys.executable, "-c", {foreign!r})
    await supervisor.start(ChildSpec(name="foreign", command=tethered, ready=ready))
    print(*supervisor.pids().values(), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_no_orphans_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """``kill -9`` of the supervisor: our own children and foreign ones (Redis) end by themselves."""
    mark = tmp_path / "foreign.ready"
    foreign = f"import pathlib, time; pathlib.Path({str(mark)!r}).touch(); time.sleep(600)"
    program = SUPERVISOR_PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path), foreign=foreign)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        wait_until(mark.exists)
        assert all(alive(pid) for pid in pids)
        supervisor.kill()
        supervisor.wait()
        wait_until(lambda: not any(alive(pid) for pid in pids))


def test_the_watcher_of_a_foreign_child_ends_with_it(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.set_inheritable(read, True)
    with subprocess.Popen(
        [sys.executable, "-m", "cli.tether", "sleep", "600"],
        pass_fds=(read,),
        env={**os.environ, "NEXTBEST_LIFELINE": str(read)},
    ) as foreign:
        os.close(read)
        # The watcher holds the only read end left: writing fails once it has gone.
        wait_until(lambda: _command_of(foreign.pid).startswith(b"sleep"))
        foreign.kill()
        foreign.wait()

        def watcher_gone() -> bool:
            try:
                os.write(write, b".")
            except BrokenPipeError:
                return True
            return False

        wait_until(watcher_gone)
    os.close(write)


def _command_of(pid: int) -> bytes:
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout
