"""Load at a fixed rate whatever the answers take, by vegeta; time counts from when a request was to be sent."""

from __future__ import annotations

import csv
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODULE = "github.com/tsenart/vegeta/v12@v12.13.0"
MAX_CONNECTIONS = 512


@dataclass(frozen=True)
class Attack:
    """What came of a load, its warm-up left out.

    Attributes
    ----------
    p50_ms, p99_ms
        From the intended send until the answer was whole.
    n_asked, n_failed
        Requests; those not answered by 200.
    cpu_s
        CPU seconds of what was asked about meanwhile, by role.
    """

    p50_ms: float
    p99_ms: float
    n_asked: int
    n_failed: int
    cpu_s: Mapping[str, float]


def binary(cache: Path) -> Path:
    """vegeta, built once and kept in ``cache``.

    Raises
    ------
    SystemExit
        Where it is not there and cannot be built; says what is missing.
    """
    path = cache / "vegeta" / "vegeta"
    if not path.exists():
        print(f"building {MODULE}, which takes a minute", flush=True)
        try:
            subprocess.run(
                ["go", "install", MODULE], env={**os.environ, "GOBIN": str(path.parent.resolve())}, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"vegeta cannot be built: {error}. Install Go, or put the binary at {path}") from error
    return path


def attack(
    vegeta: Path,
    targets: Path,
    rate: int,
    warm_up_s: float,
    seconds: float,
    cpu_s: Callable[[], Mapping[str, float]],
) -> Attack:
    """Send ``rate`` requests a second, and look at those that come after the warm-up.

    Parameters
    ----------
    targets
        vegeta's JSON targets; they are asked in turn.
    cpu_s
        CPU seconds used so far, by role; asked after the warm-up and at the end.
    """
    results = targets.with_name("results.bin")
    command = [str(vegeta), "attack", "-format=json", f"-targets={targets}", f"-rate={rate}/s", "-http2=false"]
    command += [f"-duration={warm_up_s + seconds}s", f"-connections={MAX_CONNECTIONS}", f"-output={results}"]
    with subprocess.Popen([*command, "-timeout=10s"]) as process:
        time.sleep(warm_up_s)
        before_s = cpu_s()
        time.sleep(seconds)
        used_s = {role: used - before_s[role] for role, used in cpu_s().items()}
    if process.returncode:
        raise SystemExit(f"vegeta ended with {process.returncode}")
    encoded = subprocess.run(
        [str(vegeta), "encode", "-to=csv", str(results)], capture_output=True, text=True, check=True
    )
    return measured(encoded.stdout, rate, warm_up_s, used_s)


def measured(encoded: str, rate: int, warm_up_s: float, used_s: Mapping[str, float]) -> Attack:
    """What came of a load, by what vegeta writes as CSV of each request, in any order."""
    rows = [(int(row[0]), int(row[1]), int(row[2]), int(row[8])) for row in csv.reader(encoded.splitlines())]
    sent_ns, status, latency_ns, number = np.array(rows, dtype=np.int64).T
    due_ns = number * 1_000_000_000 // rate
    due_ns += (sent_ns - due_ns).min()  # no request is sent before it is due
    waited_ms = (sent_ns + latency_ns - due_ns) / 1e6
    counts = number >= rate * warm_up_s
    return Attack(
        p50_ms=float(np.percentile(waited_ms[counts], 50)),
        p99_ms=float(np.percentile(waited_ms[counts], 99)),
        n_asked=int(counts.sum()),
        n_failed=int((status[counts] != 200).sum()),
        cpu_s=used_s,
    )
