"""What the benchmark of latency makes of what its tools print."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.latency.cpu import REST, cpu_s, tree
from benchmarks.latency.system_calls import counted
from benchmarks.latency.vegeta import measured

STRACE = """strace: Process 4242 attached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.03    0.041234          41      1000           epoll_pwait
 20.11    0.013000          13       600        12 read
 10.00    0.003000          11       250           write
  8.86    0.002000          10       150           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.059234                  2000        12 total
"""


def test_calls_are_counted_by_what_they_are_for() -> None:
    calls = counted(STRACE)
    assert calls.groups == {"turns": 1000, "reads": 600, "writes": 400, "getpid": 0}
    assert sum(calls.kinds.values()) == 2000


def test_time_counts_from_when_a_request_was_to_be_sent() -> None:
    """Ten a second; the fourth was sent 50 ms late, and its answer took 10: it waited for 60."""
    started_ns = 1_700_000_000_000_000_000
    late_ns = [0, 0, 0, 50_000_000, 0]
    rows = [
        f"{started_ns + number * 100_000_000 + late},200,10000000,1,1,,,,{number},POST,,"
        for number, late in enumerate(late_ns)
    ]
    came = measured("\n".join(rows), rate=10, warm_up_s=0.3, used_s={})
    assert came.n_asked == 2, "what came during the warm-up is left out"
    assert came.p50_ms == pytest.approx((60 + 10) / 2, abs=0.01)


def test_an_answer_that_is_no_200_is_a_failure() -> None:
    rows = "1700000000000000000,503,1000,1,1,,,,0,POST,,\n1700000000100000000,200,1000,1,1,,,,1,POST,,"
    assert measured(rows, rate=10, warm_up_s=0, used_s={}).n_failed == 1


def test_the_cpu_of_what_a_process_started_is_its_own() -> None:
    child = "n = 0\nfor _ in range(10_000_000): n += 1\nprint('done', flush=True)\ninput()"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        assert len(tree(process.pid)) == 2
        (child_pid,) = set(tree(process.pid)) - {process.pid}
        assert cpu_s(process.pid)[REST] > 0.1
        assert cpu_s(process.pid, {"child": child_pid})["child"] > 0.1
        process.communicate("\n")
