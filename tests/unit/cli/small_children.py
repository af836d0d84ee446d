"""Real small child processes, for tests of the supervisor."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from background.ports import free_port
from cli.child import ChildSpec
from cli.http_probe import is_alive

BOUND_S = 20.0


def child(name: str, folder: Path, code: str, **more: Any) -> ChildSpec:
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


def answering(name: str, folder: Path, **more: Any) -> ChildSpec:
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
