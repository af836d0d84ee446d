"""Nothing runs on when the supervisor is gone, however it went."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.cli.small_children import alive, wait_until

SUPERVISOR_PROGRAM = """
import asyncio, pathlib, sys
sys.path.insert(0, {tests!r})
from small_children import STEADY, child
import cli.supervisor
from cli.child import ChildSpec, LogFile
from cli.http_probe import is_alive
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
