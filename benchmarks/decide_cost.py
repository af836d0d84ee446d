"""What a decision costs: server CPU time of one API process per decision, against ``baseline.py``'s per request.

20 arms, the learned default policy, rules, keys checked, state of 40 events, decision records to a real log
(Redis Streams), 64 connections; producer threads count, since the whole process is measured. The two servers are
loaded in turn, round by round, so that both see the same machine; medians over the rounds are compared. And they
are started several times: where a process has its memory makes it a few percent dearer or cheaper for all its life.

    .venv/bin/python -m benchmarks.decide_cost [--starts 3] [--rounds 3] [--goal 1.5] [--against CHECKOUT]

With another checkout's path its decider takes a turn as well, on a Redis of its own: ``against`` is what ours costs
over what it costs, the median over the rounds of a start, and over the starts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from redis.asyncio import Redis

from background.ports import free_port
from benchmarks.decide_load import KEY, N_VISITORS, run_load
from benchmarks.ending import end_by_sigterm
from config.setting_values import RedisUrl, Secret
from config.settings import Settings
from installation.encryption import cipher_of, load_data_key
from installation.secrets_of import secrets_of
from online_models.placement_model import PlacementModel
from personalization.audience.profile import apply_event
from personalization.catalog.catalog import AffinityRule, AffinitySpec, Cap, Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.challengers import Challenger
from personalization.deciding.distribution import SCALE
from personalization.events.event import ClientEvent, Identify, Page, Track
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_state import VisitorState
from state.catalog_store import CatalogStore
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.model_store import ModelPublisher
from state.visitor_store import pack_visitor, sealed_visitor

N_ARMS = 20
NAMESPACE = "bench"
SECRET = "0123456789abcdef" * 2
"""One of its own, as an installation has it: personal data are encrypted."""

HERE = Path(__file__).resolve().parents[1]
CATEGORIES = ["shoes", "shirts", "tents", "stoves", "bags"]


def catalog(challenger: str = "") -> Catalog:
    """A shop with 20 offers, some for certain visitors only, some capped; perhaps with a policy on trial."""
    rules = {3: "'buyer' in segments", 7: "device != 'bot'", 11: "traits.age > 30", 15: "cart_value < 500.0"}
    contents = {
        f"offer-{arm}": Content(
            type="html",
            body=f"<h1>Offer {arm}</h1>",
            when=rules.get(arm),
            cap=(Cap(limit=50, per="day"),) if arm in (4, 12) else (),
            features={"category": CATEGORIES[arm % len(CATEGORIES)]},
        )
        for arm in range(N_ARMS)
    }
    return Catalog(
        placements={
            "home.hero": Placement(
                content=tuple(contents),
                default="offer-0",
                holdout=0.05,
                challenger=Challenger(policy=PolicySpec(name=challenger)) if challenger else None,
            )
        },
        content=contents,
        segments={"buyer": "n_orders > 0", "browser": "event_count > 10 && n_orders == 0"},
        affinities={
            "category": AffinitySpec(rules=(AffinityRule(event="Product Viewed", key="properties.category"),))
        },
        features=(
            "affinities", "cart_value", "counts", "days_since_last", "device", "hour", "n_orders", "segments",
            "session", "traits.age", "weekday",
        ),
        sources={"shop": Source(write_keys=(KEY,), consent_default="granted")},
    )  # fmt: skip


def visitor(rng: random.Random, compiled: CompiledCatalog, now_ms: int) -> VisitorState:
    """A shop visitor of 40 events."""
    state = VisitorState()
    who: dict[str, Any] = {"message_id": "m", "anonymous_id": "a"}
    event: ClientEvent
    for step in range(40):
        at_ms = now_ms - (40 - step) * 20_000
        match step % 8:
            case 0:
                event = Identify(traits={"age": rng.randint(18, 70), "plan": "free"}, **who)
            case 1 | 4 | 6:
                event = Page(name="home", **who)
            case 7:
                event = Track(event="Product Added", properties={"product_id": str(step), "price": 20}, **who)
            case _:
                event = Track(event="Product Viewed", properties={"category": rng.choice(CATEGORIES)}, **who)
        apply_event(state, event, at_ms, at_ms, compiled)
    state.now_ms, state.offset = now_ms, 40
    return state


def learned(rng: random.Random) -> PlacementModel:
    """The default model after 3,000 outcomes."""
    model = PlacementModel("home.hero")
    for n in range(3_000):
        arm = rng.randrange(N_ARMS)
        features: dict[str, float | str] = {
            "cart_value": rng.random() * 100,
            "counts.page": rng.random() * 20,
            "device": rng.choice(["mobile", "desktop"]),
            "hour": float(rng.randrange(24)),
            "n_orders": float(rng.randrange(3)),
            "session.n_events": rng.random() * 40,
            "session.n_views": rng.random() * 20,
            "session.number": float(rng.randrange(5)),
            "session.seconds": rng.random() * 900,
            "traits.age": float(rng.randint(18, 70)),
            "weekday": float(rng.randrange(7)),
            **{f"affinities.category.{name}": rng.random() * 5 for name in CATEGORIES},
            "counts.Product Viewed": rng.random() * 20,
            "counts.Product Added": rng.random() * 5,
            "days_since_last": rng.random(),
        }
        reward = float(rng.random() < 0.05 + 0.01 * arm)
        model.learn(
            Outcome(
                choice=Choice(
                    decision_id=f"d{n}", placement="home.hero", slot=0, arm=f"offer-{arm}", weight=SCALE // N_ARMS
                ),
                reward=reward,
                reason=ClosingReason.WINDOW,
                decided_at_ms=n,
                closed_at_ms=n + 1,
                exposed_at_ms=n,
                features=features,
            )
        )
    return model


async def prepare(url: str, challenger: str = "") -> None:
    """Catalog, model and visitors into Redis."""
    rng = random.Random(7)
    redis = Redis.from_url(url)
    keys = Keys(NAMESPACE)
    now_ms = time.time_ns() // 1_000_000
    version = await CatalogStore(redis, NAMESPACE).publish(catalog(challenger), "benchmark")
    compiled = compile_catalog(catalog(challenger), version)
    snapshot = await asyncio.to_thread(lambda: learned(rng).snapshot(generation=1))
    settings = Settings(redis=RedisUrl(url), namespace=NAMESPACE, secret=Secret(SECRET))
    cipher = cipher_of(settings)
    await load_data_key(settings, redis, keys, cipher)
    models_key = secrets_of(settings).key("models")
    await ModelPublisher(redis, keys, models_key, cipher).publish("home.hero", snapshot, now_ms)
    values = {}
    for key in (f"a:v{n}" for n in range(N_VISITORS)):
        state = pack_visitor(visitor(rng, compiled, now_ms))
        values[keys.visitor(key)] = sealed_visitor(cipher, key, state)
    await redis.mset(values)
    sizes = [len(value) for value in values.values()]
    print(f"visitor state: {statistics.mean(sizes):.0f} bytes", file=sys.stderr)
    await redis.aclose()


def prepare_there(url: str, checkout: Path) -> None:
    """The same, by the code of another checkout."""
    code = f"import asyncio; from benchmarks.decide_cost import prepare; asyncio.run(prepare({url!r}))"
    subprocess.run([sys.executable, "-c", code], cwd=checkout, env=importing(checkout), check=True)


def importing(checkout: Path) -> dict[str, str]:
    """The environment in which that checkout's modules are imported."""
    return {**os.environ, "PYTHONPATH": str(checkout)}


def surroundings(url: str, port: int, folder: Path, checkout: Path) -> dict[str, str]:
    """The environment of a server by the code of ``checkout``."""
    return {
        **importing(checkout),
        "NEXTBEST_REDIS": url,
        "NEXTBEST_PORT": str(port),
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_SECRET": SECRET,
        "NEXTBEST_DATA_DIR": str(folder / "data"),
        # All connections ask again at once, so on a busy machine answers queue: the whole path is measured all
        # the same, not the rung below it.
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_REDIS_TIMEOUT_MS": "2000",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def server(module: str, url: str, folder: Path, checkout: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """One server process by the code of ``checkout``, ready to answer."""
    port = free_port()
    environment = surroundings(url, port, folder, checkout)
    process = subprocess.Popen([sys.executable, "-m", module], env=environment, cwd=checkout)
    try:
        wait_for(port, process, within_s=30)
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes], within_s: float) -> None:
    """Wait until a server takes connections; raises ``RuntimeError`` where it does not start."""
    until = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args!r} did not start") from None
            time.sleep(0.05)


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """CPU seconds of a process so far, all threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, print, and judge against the goal."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=12_000)
    parser.add_argument("--goal", type=float, default=1.5)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    starts = []
    for _ in range(arguments.starts):
        starts.append(measure(arguments.rounds, arguments.requests, arguments.against))
        print(
            {name: round(statistics.median(cost), 1) for name, cost in starts[-1].cpu_us.items()}, file=sys.stderr
        )
    ratios = [_ratio(start.cpu_us["decide"], start.cpu_us["baseline"]) for start in starts]
    tiers = sum((start.tiers for start in starts), Counter())
    report = {
        "cpu_us": _medians([start.cpu_us for start in starts]),
        "ratio": round(statistics.median(ratios), 3),
        "closed_loop_p99_ms": _medians([start.p99_ms for start in starts]),
        "tiers": tiers,
        "starts": arguments.starts,
        "rounds": arguments.rounds,
        "requests_per_round": arguments.requests,
    }
    if arguments.against:
        against = [_ratio(start.cpu_us["decide"], start.cpu_us["against"]) for start in starts]
        report["against"] = round(statistics.median(against), 3)
        report["against_by_start"] = [round(ratio, 3) for ratio in against]
    print(json.dumps(report))
    return 0 if statistics.median(ratios) <= arguments.goal and set(tiers) == {"personalised"} else 1


@dataclass
class Measured:
    """What one start of the servers gave, by server and round: CPU per request, and the 99th percentile."""

    cpu_us: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    p99_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tiers: Counter[str] = field(default_factory=Counter)


def measure(n_rounds: int, n_requests: int, against: Path | None) -> Measured:
    """Start all servers anew, and load them in turn."""
    found = Measured()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(EmbeddedRedis(folder / "redis"))
        asyncio.run(prepare(redis.url))
        servers = {
            "baseline": stack.enter_context(server("benchmarks.baseline", redis.url, folder, HERE)),
            "decide": stack.enter_context(server("api.main", redis.url, folder, HERE)),
        }
        if against:
            there, theirs = against.resolve(), folder / "against"
            url = stack.enter_context(EmbeddedRedis(theirs / "redis")).url
            prepare_there(url, there)
            servers["against"] = stack.enter_context(server("api.main", url, theirs, there))
        for _, port in servers.values():
            asyncio.run(run_load(port, 2_000, 0))
        for turn in range(n_rounds):
            for name, (process, port) in servers.items():
                before = cpu_s(process)
                load = asyncio.run(run_load(port, n_requests, turn + 1))
                found.cpu_us[name].append((cpu_s(process) - before) / n_requests * 1e6)
                found.p99_ms[name].append(float(np.percentile(load.seconds, 99)) * 1e3)
                found.tiers.update(load.tiers)
    return found


def _medians(starts: list[dict[str, list[float]]]) -> dict[str, float]:
    return {
        name: round(statistics.median(chain.from_iterable(start[name] for start in starts)), 2)
        for name in starts[0]
    }


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    end_by_sigterm()
    raise SystemExit(main())
