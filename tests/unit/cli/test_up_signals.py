"""What the process that keeps the others does with signals that are not for it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal
from cli.up import run_until_stopped
async def session():
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(0)
    print("still here")
run_until_stopped(session())
"""


def test_a_signal_that_is_for_the_api_ends_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "still here\n"), done.stderr
