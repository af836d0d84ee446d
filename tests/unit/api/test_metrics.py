"""Metrics of several processes: what the living say of themselves, what all have counted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SAY = """
import sys
from prometheus_client import CollectorRegistry
from api.process.metrics import ApiMetrics
metrics = ApiMetrics(CollectorRegistry())
metrics.spool_depth.set(7)
metrics.requests.labels("decide", "200").inc(3)
if "show" in sys.argv:
    print(metrics.exposition().decode())
"""


def say(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", SAY, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_dead_keep_their_counts_and_lose_their_gauges(tmp_path: Path) -> None:
    say(tmp_path)
    say(tmp_path)
    shown = say(tmp_path, "show").splitlines()
    assert 'nextbest_requests_total{endpoint="decide",status="200"} 9.0' in shown
    assert "nextbest_spool_records 7.0" in shown
