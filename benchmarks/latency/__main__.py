"""How long a decide takes, and what it costs all processes together, at fixed rates.

    python -m benchmarks.latency [--against CHECKOUT] [--rates 200,500,1000] [--seconds 30] [--rounds 6] [--strace]

The whole product on this machine (``nextbest up``, one API process, Redis of its own), one pinned scenario, open
loop: time counts from when a request was to be sent. Another checkout (``base``) and a bare Starlette server
(``echo``) take turns with it, so that all see the same machine. CPU is that of all processes of an installation,
less what they use while nobody asks. With ``--strace``, turns of the event loop, reads and writes are counted as
well, in runs of their own. Needs Go once, to build vegeta; ``--strace`` needs ``strace``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.ending import end_by_sigterm
from benchmarks.latency.product import Server, echo, product
from benchmarks.latency.scenario import WINDOW_S, targets
from benchmarks.latency.system_calls import count
from benchmarks.latency.table import Runs, calls_table, latency_table, roles_table
from benchmarks.latency.vegeta import attack, binary

HERE = Path(__file__).resolve().parents[2]
IDLE_S = 10.0
WARM_UP_S = WINDOW_S + 2.0
"""From then on as many windows end as decisions are made."""

TRACED = ("api", "folder")
TRACING_STARTS_S = 3.0
"""The load goes on until what is traced is let go."""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, default=None, metavar="CHECKOUT", help="another checkout")
    parser.add_argument("--rates", default="200,500,1000", help="requests a second (default 200,500,1000)")
    parser.add_argument("--seconds", type=float, default=30, help="of each run, after its warm-up (default 30)")
    parser.add_argument("--rounds", type=int, default=6, help="runs of each server at each rate (default 6)")
    parser.add_argument("--strace", action="store_true", help="count calls of the kernel as well")
    options = parser.parse_args()
    rates = [int(rate) for rate in options.rates.split(",")]
    vegeta = binary(HERE / ".cache")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nextbest-latency-")))
        servers = []
        if options.against is not None:
            servers.append(stack.enter_context(product("base", options.against.resolve(), folder / "base")))
        servers.append(stack.enter_context(product("head", HERE, folder / "head")))
        servers.append(stack.enter_context(echo(HERE)))
        time.sleep(WARM_UP_S)
        for server in servers:
            server.look_idle(IDLE_S)
            (folder / f"{server.name}.targets").write_text(targets(server.url))
            print(f"{server.name}: {server.idle_share:.3f} of a core while nobody asks", flush=True)
        runs: Runs = {(rate, server.name): [] for rate in rates for server in servers}
        for round_number in range(1, options.rounds + 1):
            for rate in rates:
                for server in servers:
                    asked = folder / f"{server.name}.targets"
                    came = attack(vegeta, asked, rate, WARM_UP_S, options.seconds, server.cpu_s)
                    cpu_s = {
                        role: used - server.idle_shares[role] * options.seconds for role, used in came.cpu_s.items()
                    }
                    runs[rate, server.name].append((came, cpu_s))
                    print(
                        f"round {round_number}  {rate:5}/s  {server.name}  p50 {came.p50_ms:6.2f}  "
                        f"p99 {came.p99_ms:6.2f} ms  CPU {sum(cpu_s.values()) / came.n_asked * 1e3:.2f} ms",
                        flush=True,
                    )
                    if server.name != "echo":
                        time.sleep(WARM_UP_S)  # its windows end
        print(f"\n{latency_table(runs)}\n\n{roles_table(runs)}")
        if options.strace:
            print(f"\n{_traced(vegeta, folder, servers, rates[0])}")


def _traced(vegeta: Path, folder: Path, servers: list[Server], rate: int, seconds: float = 10.0) -> str:
    counted = []
    for server in servers:
        pids = {role: server.pids[role] for role in TRACED if role in server.pids}
        asked = folder / f"{server.name}.targets"
        with ThreadPoolExecutor(1) as beside:
            load = beside.submit(attack, vegeta, asked, rate, WARM_UP_S, seconds + TRACING_STARTS_S, server.cpu_s)
            time.sleep(WARM_UP_S)
            found = count(pids, seconds)
            load.result()
        counted.append((server, int(rate * seconds), found))
    return f"At {rate} a second, for each decision:\n\n{calls_table(counted)}"


if __name__ == "__main__":
    end_by_sigterm()
    main()
