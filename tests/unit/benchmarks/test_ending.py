"""A benchmark that is told to end takes along what it has started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def test_sigterm_ends_a_benchmark_through_what_stops_its_children() -> None:
    starts = (
        "import time\n"
        "from benchmarks.ending import end_by_sigterm\n"
        "end_by_sigterm()\n"
        "try:\n"
        "    print('started', flush=True)\n"
        "    time.sleep(600)\n"
        "finally:\n"
        "    print('stopped', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starts],
        cwd=BENCHMARKS.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopped\n"


def test_every_benchmark_lets_sigterm_end_it_as_ctrl_c_does() -> None:
    begun = {path: path.read_text("utf-8").partition('if __name__ == "__main__":\n')[2] for path in sources()}
    begun = {path: lines for path, lines in begun.items() if "main()" in lines}  # servers see to it themselves
    assert len(begun) > 30
    assert [str(path) for path, lines in begun.items() if not lines.startswith("    end_by_sigterm()\n")] == []


def sources() -> list[Path]:
    return sorted(path for path in BENCHMARKS.rglob("*.py") if "node_modules" not in path.parts)
