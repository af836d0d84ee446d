"""Children that run and do not answer, or not yet."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import cli.supervisor
from cli.supervisor import Supervisor
from tests.standing_still import stand_still
from tests.unit.cli.small_children import STEADY, alive, answering, child, until, wait_until


async def test_a_child_that_is_stopped_is_started_again_and_said_in_one_line(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    await supervisor.start(answering("worker", tmp_path, hangs_after_s=1.0))
    first = supervisor.pids()["worker"]
    (tmp_path / "worker.ready").unlink()
    stand_still(first)
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
from small_children import answering
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
            stand_still(each)
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
