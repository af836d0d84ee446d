"""A system that can be hurt: real worker processes on a real log and a real Redis, each armed with its own end."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis

from config.setting_values import RedisUrl
from config.settings import Settings
from eventlog.port import EventLog
from eventlog.topics import OUTCOMES, VISITOR_LOG
from installation.secrets_of import secrets_of
from installation.visitor_log import log_of
from online_models import checkpoint
from online_models.conversion import checkpoint as book_checkpoint
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.data_cipher import CLEAR
from personalization.events.example import conversion_of
from personalization.visitor.folder_state import HOLD_MS
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointStore
from state.keys import Keys
from state.timers import N_BUCKETS
from tests.forks import FORKS
from tests.integration import workload
from tests.integration.oracle import Learned
from tests.integration.workload import OF_ONE, Workload

MAIN_OF = {"folder": "stream.folding.main", "learner": "stream.learning.main"}

LEASE_MS = 1_500
BURST_PAUSE_S = 0.5
"""While a lease runs out three bursts gather: enough for whoever takes over to die in mid batch."""


def _work(role: str, environment: dict[str, str], output_path: Path) -> None:
    """What a worker process runs: the role's own ``run``, under its own environment and output."""
    os.environ.update(environment)
    output = os.open(output_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for where in environment.get(RAISES, "").split():
        _raise(where, Path(environment["NEXTBEST_FAILPOINT_LOG"]))
    importlib.import_module(MAIN_OF[role]).run(Settings.from_environment())


RAISES = "RAISES"
"""Environment of a worker that meets errors nobody thought of: ``module:Class.method:before|after[:times] …``."""


class UnknownError(Exception):
    """No code expects it."""


def _raise(where: str, facts_path: Path) -> None:
    """Let one awaited call of this process fail, before its effect or after it: once, or so many times in a row."""
    module, name, when, *times = where.split(":")
    owner = getattr(importlib.import_module(module), name.split(".")[0])
    attribute = name.split(".")[1]
    method = getattr(owner, attribute)
    left = [where] * int(times[0] if times else 1)

    def due() -> bool:
        if not left:
            return False
        with facts_path.open("a") as facts:
            facts.write(json.dumps({"point": left.pop()}) + "\n")
        return True

    async def failing(*args: Any, **kwargs: Any) -> Any:
        if when == "before" and due():
            raise UnknownError(where)
        result = await method(*args, **kwargs)
        if when == "after" and due():
            raise UnknownError(where)
        return result

    setattr(owner, attribute, failing)


MOST_BEHIND = 600
"""Entries, four bursts: nothing more happens while the folders are further behind, or what a slow machine has to
fold, here and in the plain loop beside, would grow for as long as it takes."""


class Worker:
    """A process of one role, armed or not.

    Forked (``tests.forks``): dying dozens of times fits a test.
    """

    def __init__(
        self, role: str, environment: dict[str, str], directory: Path, point: str = "", raises: str = ""
    ) -> None:
        self.role, self.point = role, point or raises
        number = len(list(directory.glob("*.out")))
        self.facts_path = directory / f"{number}-{role}.facts"
        self.output_path = directory / f"{number}-{role}.out"
        self.output_path.touch()
        armed = {
            "NEXTBEST_FAILPOINT": point,
            "NEXTBEST_FAILPOINT_LOG": str(self.facts_path),
            # What is forwarded by a merge arrives by itself, not in a burst.
            "NEXTBEST_FAILPOINT_OF_ONE": "1" if point.startswith("half-merged") else "65",
        }
        told = {**environment, **(armed if point else {})}
        if raises:
            told |= {RAISES: raises, "NEXTBEST_FAILPOINT_LOG": str(self.facts_path)}
        self.process = FORKS.Process(target=_work, args=(role, told, self.output_path), daemon=True)
        self.process.start()

    @property
    def fact(self) -> dict[str, Any] | None:
        """What the failpoint said before it acted, the last one; None before."""
        facts = self.facts
        return facts[-1] if facts else None

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What each failpoint said before it acted, in order."""
        if not self.facts_path.exists():
            return []
        lines = self.facts_path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it; None while it runs."""
        return self.process.exitcode

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    def go_on(self) -> None:
        """End a freeze."""
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self._send(signal.SIGKILL)
        self.process.join()

    def stop(self) -> int | None:
        """Stop it cleanly; its exit code."""
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        self.process.join(15)
        if self.exit_code is None:
            self.kill()
        return self.exit_code

    def output(self) -> str:
        """The last it said."""
        return self.output_path.read_text(errors="replace")[-3000:]

    def _send(self, number: signal.Signals) -> None:
        if self.exit_code is None and self.process.pid is not None:
            os.kill(self.process.pid, number)


class System:
    """A namespace of its own on shared servers, the workload, and the workers."""

    def __init__(self, settings: Settings, directory: Path, seed: int, unsafe: str = "") -> None:
        self.settings = settings
        self.directory = directory
        self.keys = Keys(settings.namespace)
        self.redis: Redis = Redis.from_url(settings.redis, protocol=2)
        self.log: EventLog = log_of(settings, CLEAR)
        self.workers: list[Worker] = []
        self.seed = seed
        self.environment = {
            f"NEXTBEST_{name.upper()}": str(getattr(settings, name)) for name in _TOLD if getattr(settings, name)
        }
        if unsafe:
            self.environment["NEXTBEST_UNSAFE"] = unsafe
        self.catalog: CompiledCatalog
        self.load: Workload

    async def __aenter__(self) -> System:
        await self.log.start()
        await until(lambda: _succeeds(self.log.create(self.settings.partitions)), "the log is created", 30)
        store = CatalogStore(self.redis, self.settings.namespace)
        version = await store.publish(workload.catalog())
        self.catalog = compile_catalog(workload.catalog(), version)
        self.load = Workload(self.seed, version)
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.kill()
        await self.log.close()
        await self.redis.aclose()

    def start(self, role: str, point: str = "", raises: str = "") -> Worker:
        """Start a worker, perhaps with an end in mind."""
        worker = Worker(role, self.environment, self.directory, point, raises)
        self.workers.append(worker)
        return worker

    async def burst(self) -> None:
        """Let things happen."""
        await self.log.append(self.load.burst())

    async def burst_until(self, condition: Callable[[], bool], what: str, within_s: float = 40) -> None:
        """Let things happen until ``condition`` holds."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}\n{self.outputs()}"
            if await self._lag("folder", VISITOR_LOG) <= MOST_BEHIND:
                await self.burst()
            await asyncio.sleep(BURST_PAUSE_S)

    async def settle(self, learner: bool = False, within_s: float = 60) -> None:
        """Wait until every window has ended, every entry is folded, and, on demand, every outcome is learned.

        A learner commits past outcomes that wait for a model that is behind: those are waited for, too.
        """

        async def quiet() -> bool:
            if await self._lag("folder", VISITOR_LOG) or await self._n_timers():
                return False
            if await self._lag("folder", VISITOR_LOG):  # a time-out appended just before its timer went
                return False
            return not learner or not (await self._lag("learner", OUTCOMES) or await self._n_waiting())

        try:
            await until(quiet, "everything is folded", within_s, self.outputs)
        except AssertionError:
            committed = await self.log.committed_offsets("folder", VISITOR_LOG)
            ends = await self.log.end_offsets(VISITOR_LOG)
            raise AssertionError(
                f"committed {committed} of {ends}, {await self._n_timers()} timers\n{self.outputs()}"
            ) from None

    async def _lag(self, group: str, topic: str) -> int:
        committed = await self.log.committed_offsets(group, topic)
        return sum(
            end - (done or 0) for end, done in zip(await self.log.end_offsets(topic), committed, strict=True)
        )

    async def _n_waiting(self) -> int:
        identity = await self.log.identity()
        headers = await CheckpointStore(self.redis, self.keys).headers(identity.n_partitions, identity.epoch)
        return sum(sum(header.waiting().values()) for header in headers.values())

    async def _n_timers(self) -> int:
        # A reward whose decision is gone (closed long ago; or lost, without a safeguard) waits a minute for it.
        before_ms = time.time_ns() // 1_000_000 + HOLD_MS // 2
        pipeline = self.redis.pipeline(transaction=False)
        for bucket in range(N_BUCKETS):
            pipeline.zcount(self.keys.timers(bucket), "-inf", before_ms)
        return sum(await pipeline.execute())

    async def learned(self) -> dict[str, Learned]:
        """The models and books of the current checkpoints."""
        store = CheckpointStore(self.redis, self.keys)
        secret = secrets_of(self.settings).key("models")
        models: dict[str, Learned] = {}
        for partition in range(self.settings.partitions):
            found = await store.load(partition)
            for placement, blob in (found.blobs if found else {}).items():
                assert blob is not None
                if conversion_of(placement) is None:
                    models[placement] = checkpoint.load(blob, secret, placement=placement).model
                else:
                    models[placement] = book_checkpoint.load(blob, secret).model
        return models

    def outputs(self) -> str:
        """What the workers said last."""
        return "\n".join(f"--- {w.role} {w.point}\n{w.output()}" for w in self.workers[-3:])


_TOLD = (
    "kafka",
    "redis",
    "namespace",
    "partitions",
    "lease_ms",
    "commit_ms",
    "checkpoint_ms",
    "timer_poll_ms",
    "fold_wait_ms",
)


def settings_of(kafka: str, redis: str, namespace: str) -> Settings:
    """Settings of a system that is to be hurt: short leases, frequent commits and checkpoints."""
    return Settings(
        kafka=kafka,
        redis=RedisUrl(redis),
        namespace=namespace.rstrip("."),
        partitions=4,
        lease_ms=LEASE_MS,
        commit_ms=300,
        checkpoint_ms=700,
        timer_poll_ms=100,
        fold_wait_ms=50,  # a whole burst in one batch
    )


class MakeSystem(Protocol):
    """A fixture's way to make systems, which it takes down after the test."""

    async def __call__(self, log: str, seed: int, unsafe: str = "") -> System: ...


async def until(
    condition: Callable[[], Awaitable[bool]],
    what: str,
    within_s: float,
    explain: Callable[[], str] = lambda: "",
) -> None:
    """Wait for a condition, with a bound."""
    deadline_s = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline_s, f"not within {within_s} s: {what}\n{explain()}"
        await asyncio.sleep(0.05)


async def _succeeds(attempt: Awaitable[object]) -> bool:
    try:
        await attempt
    except Exception:
        return False
    return True


assert OF_ONE > 64
