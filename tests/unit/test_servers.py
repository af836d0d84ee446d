"""A server that several processes of the tests share is started once, and ended by whoever leaves last."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.servers import shared


def test_a_shared_server_is_started_once_and_ended_by_the_last_to_leave(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> tuple[subprocess.Popen[bytes], str]:
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1], "somewhere:1"

    with ExitStack() as first, ExitStack() as second:
        assert first.enter_context(shared(tmp_path, start)) == "somewhere:1"
        assert second.enter_context(shared(tmp_path, start)) == "somewhere:1"
        first.close()
        assert started[0].poll() is None
        second.close()
        assert started[0].wait(10) != 0
    with shared(tmp_path, start):
        assert len(started) == 2, "what had ended is started anew"
    assert started[1].wait(10) != 0
