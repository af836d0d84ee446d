"""How long ``nextbest up`` takes until it says that all is ready.

``python -m benchmarks.start_time [--runs 5] [--against CHECKOUT]``: a new data folder each time, from the command
to the line *nextbest is ready*. With another checkout's path both take turns, so that what else the machine does
hits both alike; each is started once before, so that its bytecode is there. Prints medians, and their ratio.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from background.ports import free_port
from benchmarks.ending import end_by_sigterm

HERE = Path(__file__).resolve().parents[1]
WITHIN_S = 120.0


def start_s(checkout: Path) -> float:
    """Seconds from the command to its being ready, by the code in ``checkout``."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    environment["PYTHONPATH"] = str(checkout)
    with tempfile.TemporaryDirectory(prefix="nextbest-start-") as data_dir:
        began = time.monotonic()
        command = [sys.executable, "-P", "-m", "cli", "up", "--data-dir", data_dir, "--port", str(free_port())]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=data_dir,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            said = []
            took = None
            for line in process.stdout:
                said.append(line)
                if "nextbest is ready at" in line:
                    took = time.monotonic() - began
                if "Ctrl-C stops everything" in line:
                    break
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=WITHIN_S)
    if took is None:
        raise SystemExit(f"{checkout} never was ready:\n{''.join(said)}")
    return took


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="starts of each (default 5)")
    parser.add_argument(
        "--against", type=Path, default=None, metavar="CHECKOUT", help="another checkout to compare"
    )
    options = parser.parse_args()
    checkouts = [HERE] if options.against is None else [options.against.resolve(), HERE]
    took: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    for checkout in checkouts:
        start_s(checkout)
    for run in range(options.runs):
        for checkout in checkouts:
            took[checkout].append(start_s(checkout))
            print(f"run {run + 1}  {took[checkout][-1]:6.2f} s  {checkout}", flush=True)
    for checkout in checkouts:
        print(f"median {statistics.median(took[checkout]):6.2f} s  {checkout}")
    if options.against is not None:
        theirs, ours = (statistics.median(took[checkout]) for checkout in checkouts)
        print(f"ratio  {ours / theirs:6.2f}")


if __name__ == "__main__":
    end_by_sigterm()
    main()
