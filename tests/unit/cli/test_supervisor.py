"""The supervisor, with real small child processes: started, kept running, stopped."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import textwrap
from pathlib import Path

import pytest

from cli.child import ChildSpec
from cli.supervisor import ChildFailed, Supervisor
from tests.unit.cli.small_children import STEADY, alive, child, until


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
