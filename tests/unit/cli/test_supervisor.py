"""The supervisor, with real small child processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cli.supervisor
from cli.child import ChildSpec, LogFile
from cli.http_probe import free_port, is_alive
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

ANSWERING = """
import asyncio
async def answer(reader, writer):
    await reader.readline()
    writer.write(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    writer.close()
async def main():
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, time.sleep, 600)
    async with await asyncio.start_server(answer, "127.0.0.1", PORT):
        ready()
        await stop.wait()
asyncio.run(main())
"""


def answering(name: str, folder: Path, **more: object) -> ChildSpec:
    """A child that answers on a port, until SIGUSR1 blocks its event loop for good."""
    port = free_port()

    async def is_answering() -> bool:
        return await is_alive("127.0.0.1", port, 0.2)

    return child(name, folder, f"PORT = {port}\n{ANSWERING}", alive=is_answering, **more)


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


async def test_a_start_tells_who_is_ready_and_who_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    go_on = tmp_path / "go-on"
    waiting = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
    names = await supervisor.spawn(child("quick", tmp_path, STEADY), child("slow", tmp_path, waiting + STEADY))
    assert names == ("quick", "slow")
    assert all(alive(pid) for pid in supervisor.pids().values())
    lines: list[str] = []
    starting = asyncio.create_task(supervisor.until_ready(names, lines.append))
    await until(lambda: bool(lines))
    assert re.fullmatch(r"quick is ready \(\d+\.\d s\); waiting for slow", lines[0])
    go_on.touch()
    await starting
    assert re.fullmatch(r"slow is ready \(\d+\.\d s\)", lines[1])
    assert said == []
    await supervisor.stop()


async def test_a_start_that_takes_long_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.child.TELL_AFTER_S", 0.05)
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    go_on = tmp_path / "go-on"
    words = [
        "",
        "waiting for catalog: version 7 was not published",
        "waiting for catalog: version 7 was not published",
    ]

    async def waits_for() -> str:
        if len(words) > 1:
            return words.pop(0)
        go_on.touch()
        return words[0]

    waiting = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
    await supervisor.start(child("folder", tmp_path, waiting + STEADY, waits_for=waits_for))
    assert said == ["folder is not ready yet: waiting for catalog: version 7 was not published"]
    await supervisor.stop()


async def test_what_was_spawned_and_never_waited_for_is_stopped_too(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, print)
    await supervisor.spawn(child("first", tmp_path, STEADY), child("second", tmp_path, STEADY))
    pids = supervisor.pids()
    await supervisor.stop()
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids.values())


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


async def test_a_child_that_is_stopped_is_started_again_and_said_in_one_line(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(answering("worker", tmp_path, hangs_after_s=1.0))
    first = supervisor.pids()["worker"]
    (tmp_path / "worker.ready").unlink()
    os.kill(first, signal.SIGSTOP)
    await until(lambda: any("is back" in line for line in said))
    assert said[0] == "worker has not answered for 1 s; starting it again"
    assert len(said) == 2
    assert supervisor.restarts() == {"worker": 1}
    assert supervisor.pids()["worker"] != first
    assert not alive(first), "told to go on first, so that it could end"
    await supervisor.stop()


async def test_a_child_whose_event_loop_is_blocked_for_good_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.supervisor, "HUNG_STOP_WITHIN_S", 0.3)
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(answering("worker", tmp_path, hangs_after_s=1.0))
    first = supervisor.pids()["worker"]
    (tmp_path / "worker.ready").unlink()
    os.kill(first, signal.SIGUSR1)
    await until(lambda: any("is back" in line for line in said))
    assert said[0] == "worker has not answered for 1 s; starting it again"
    assert supervisor.restarts() == {"worker": 1}
    assert not alive(first)
    await supervisor.stop()


async def test_a_child_that_answers_late_is_left_alone(tmp_path: Path) -> None:
    asked = 0

    async def sometimes() -> bool:
        nonlocal asked
        asked += 1
        return asked % 3 == 0

    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(child("slow", tmp_path, STEADY, alive=sometimes, hangs_after_s=0.4))
    await until(lambda: asked > 12)
    assert (said, supervisor.restarts()) == ([], {"slow": 0})
    await supervisor.stop()


async def test_a_question_that_fails_does_not_end_the_watch(tmp_path: Path) -> None:
    asked = 0

    async def broken() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ValueError("nobody expected this")
        return True

    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(child("worker", tmp_path, STEADY, alive=broken, hangs_after_s=0.4))
    await until(lambda: asked > 3)
    first = supervisor.pids()["worker"]
    (tmp_path / "worker.ready").unlink()
    os.kill(first, signal.SIGKILL)
    await until(lambda: any("is back" in line for line in said))
    await supervisor.stop()


PAUSED_PROGRAM = """
import asyncio, pathlib, sys
sys.path.insert(0, {tests!r})
from test_supervisor import answering
import cli.child
from cli.supervisor import Supervisor
cli.child.ANSWER_WITHIN_S = cli.child.LATE_S = 0.2
async def main():
    folder = pathlib.Path({folder!r})
    supervisor = Supervisor(folder, lambda line: print(line, flush=True))
    await supervisor.start(answering("worker", folder, hangs_after_s=2.5))
    print(*supervisor.pids().values(), flush=True)
    seen = 0
    while True:
        await asyncio.sleep(0.1)
        seen += 1
        (folder / "awake").write_text(str(seen))
asyncio.run(main())
"""


def test_a_machine_that_was_paused_restarts_nothing(tmp_path: Path) -> None:
    """Supervisor and child stop for longer than the limit, and go on: nobody hung."""
    program = PAUSED_PROGRAM.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        awake = tmp_path / "awake"
        wait_until(awake.exists)
        for each in (pid, supervisor.pid):
            os.kill(each, signal.SIGSTOP)
        time.sleep(4)  # longer than the limit: what is tested is that nothing comes of it
        os.kill(supervisor.pid, signal.SIGCONT)
        time.sleep(0.5)  # the supervisor asks before the child is awake
        os.kill(pid, signal.SIGCONT)
        seen = int(awake.read_text())
        wait_until(lambda: int(awake.read_text() or 0) > seen + 30)
        assert alive(pid)
        supervisor.kill()
        assert supervisor.stdout.read() == "", "nothing was said"
        wait_until(lambda: not alive(pid))


async def test_a_patient_start_waits_for_what_answers_and_is_not_ready(tmp_path: Path) -> None:
    """A Redis that reads a large file says so, and would only begin again."""

    async def says_loading() -> bool:
        return True

    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    go_on = tmp_path / "go-on"
    code = f"""
    while not os.path.exists({str(go_on)!r}): time.sleep(0.02)
    ready(); time.sleep(600)
    """
    spec = child("redis", tmp_path, textwrap.dedent(code), alive=says_loading, patient=True, ready_within_s=0.2)
    starting = asyncio.create_task(supervisor.start(spec))
    await until(lambda: bool(said))
    assert said == ["redis answers, but is not ready yet; waiting for it"]
    go_on.touch()
    await starting
    assert supervisor.restarts() == {"redis": 0}
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


async def test_a_terminal_that_is_gone_keeps_no_child_down(tmp_path: Path) -> None:
    def say(_: str) -> None:
        raise BrokenPipeError

    supervisor = Supervisor(tmp_path, say)
    await supervisor.start(child("worker", tmp_path, STEADY))
    first = supervisor.pids()["worker"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.pids()["worker"] != first)
    await supervisor.stop()


async def test_every_child_keeps_the_lock_and_so_does_one_started_again(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append, inherit=(lock,))

    def holding(name: str) -> ChildSpec:
        kept = tmp_path / f"{name}.kept"
        return child(
            name, tmp_path, f"pathlib.Path({str(kept)!r}).write_text(str(os.fstat({lock}).st_ino))\n{STEADY}"
        )

    def all_keep_it() -> bool:
        kept = [path.read_text() for path in tmp_path.glob("*.kept")]
        return kept == [str(os.fstat(lock).st_ino)] * 2

    await supervisor.start(holding("first"), holding("second"))
    assert all_keep_it()
    (tmp_path / "first.kept").unlink()
    os.kill(supervisor.pids()["first"], signal.SIGKILL)
    await until(lambda: any("first is back" in line for line in said))
    await until(all_keep_it)
    await supervisor.stop()
    os.close(lock)


SUPERVISOR_PROGRAM = """
import asyncio, pathlib, sys
sys.path.insert(0, {tests!r})
from test_supervisor import STEADY, child
import cli.supervisor
from cli.child import ChildSpec, LogFile
from cli.http_probe import free_port, is_alive
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
