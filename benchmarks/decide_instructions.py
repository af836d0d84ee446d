"""How many instructions a decision takes, counted by callgrind: as many on a busy machine as on a quiet one.

    .venv/bin/python -m benchmarks.decide_instructions [--against CHECKOUT] [--challenger POLICY] [--traced SHARE]

The servers, the visitors and the load of ``benchmarks.decide_cost``; counted is what the API process does outside
the kernel. Two counts of one checkout differ by half a per cent. CPU seconds say what they cost, and differ by
a tenth from start to start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from background.ports import free_port
from benchmarks.decide_cost import HERE, prepare, prepare_there, surroundings, wait_for
from benchmarks.decide_load import run_load
from benchmarks.ending import end_by_sigterm
from benchmarks.trace_cost import collector, recording, told
from state.embedded import EmbeddedRedis

N_WARM_UP = 600
WITHIN_S = 180.0
SETTLES_S = 2.0


def instructions(checkout: Path, n_requests: int, challenger: str = "") -> float:
    """Instructions a decision, by the code in ``checkout``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with EmbeddedRedis(folder / "redis") as redis:
            if challenger:
                asyncio.run(prepare(redis.url, challenger))
            else:
                prepare_there(redis.url, checkout)
            return _counted(checkout, redis.url, folder, n_requests)


def _counted(checkout: Path, url: str, folder: Path, n_requests: int) -> float:
    said, port = folder / "said", free_port()
    environment = {
        **surroundings(url, port, folder, checkout),
        # Whatever takes thirty times as long is no slow Redis.
        "NEXTBEST_DEADLINE_MS": "60000",
        "NEXTBEST_REDIS_TIMEOUT_MS": "30000",
        "PYTHONHASHSEED": "1",
    }
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder / 'found'}"]
    with said.open("w") as output:
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "api.main"],
            env=environment,
            cwd=checkout,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(port, process, WITHIN_S)
            time.sleep(SETTLES_S)
            asyncio.run(run_load(port, N_WARM_UP, 0))
            _switch(process, "on")
            asyncio.run(run_load(port, n_requests, 1))
            _switch(process, "off")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WITHIN_S)
    found = re.search(r"Collected : (\d+)", said.read_text())
    if found is None:
        raise SystemExit(f"valgrind counted nothing:\n{said.read_text()[-2_000:]}")
    return int(found[1]) / n_requests


def _switch(process: subprocess.Popen[bytes], to: str) -> None:
    subprocess.run(["callgrind_control", "-i", to, str(process.pid)], capture_output=True, check=True)


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout")
    parser.add_argument(
        "--challenger", metavar="POLICY", default="", help="count with that policy on trial besides"
    )
    parser.add_argument("--traced", metavar="SHARE", type=float, default=0.0, help="count with such a share traced")
    parser.add_argument("--requests", type=int, default=1_500)
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("there is no valgrind: install it")
    found = {"decide": instructions(HERE, given.requests)}
    if given.against:
        found["against"] = instructions(given.against.resolve(), given.requests)
    if given.traced:
        with collector() as endpoint, told(**recording(endpoint, given.traced)):
            found["traced"] = instructions(HERE, given.requests)
    if given.challenger:
        found["challenger"] = instructions(HERE, given.requests, given.challenger)
    printed: dict[str, float] = {name: round(count) for name, count in found.items()}
    if "against" in found:
        printed["ratio"] = round(found["decide"] / found["against"], 3)
    for name in found.keys() - {"decide", "against"}:
        printed[f"{name}_ratio"] = round(found[name] / found["decide"], 3)
    print(json.dumps(printed, sort_keys=True))


if __name__ == "__main__":
    end_by_sigterm()
    main()
