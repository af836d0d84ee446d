"""A running installation as its callers see it, and what it has stored of them: log, states, outcomes, models."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from redis import Redis

from config.setting_values import DEVELOPMENT_SECRET, RedisUrl, Secret
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.topics import OUTCOMES, VISITOR_LOG, Topics
from personalization.data_cipher import DataCipher
from personalization.events.entry import Entry, decode_entry
from personalization.events.forgotten import is_forgotten
from personalization.events.outcome import Outcome, decode_outcome
from personalization.visitor.visitor_state import VisitorState
from state.keys import Keys
from state.visitor_store import opened_visitor, unpack_visitor
from tests.ciphers import cipher_at
from tests.commands import ran
from tests.requirements import require
from tests.running import Up, start, stop, until

NAMESPACE = "nextbest"


@dataclass
class Site:
    """A running installation, and what it has stored."""

    up: Up
    log_url: str
    redis: Redis
    catalog: Path
    keys: Keys = field(default_factory=lambda: Keys(NAMESPACE))
    secret: str = DEVELOPMENT_SECRET

    @functools.cached_property
    def cipher(self) -> DataCipher:
        """What opens its data, by the secret that stands in its data folder or its settings."""
        settings = Settings(
            redis=RedisUrl(self.up.redis_url()),
            namespace=NAMESPACE,
            data_dir=str(self.up.data_dir),
            secret=Secret(self.secret),
        )
        with ThreadPoolExecutor(1) as thread:  # a browser's driver may have an event loop in this one
            return thread.submit(asyncio.run, cipher_at(settings)).result()

    def command(self, *arguments: str) -> str:
        """What a command prints; it finds the installation by its data folder."""
        done = self.ran(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ran(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """How a command ended that has these ``settings`` beside what it finds."""
        return ran(arguments, {**os.environ, "NEXTBEST_DATA_DIR": str(self.up.data_dir), **settings})

    def publish(self, catalog: str) -> None:
        """Save another catalog; what is running follows it."""
        (self.catalog / "shop.yaml").write_text(catalog)

    @classmethod
    @contextmanager
    def open(cls, tmp_path_factory: pytest.TempPathFactory, catalog: str, **more: str) -> Iterator[Self]:
        """A site of its own for the tests of a module, with a catalog that can be changed and ``more`` settings."""
        require("redis")
        folder = tmp_path_factory.mktemp("catalog")
        (folder / "shop.yaml").write_text(catalog)
        # Others use this machine too: the budgets of a quiet one are measured by the benchmarks.
        settings = {
            "NEXTBEST_REDIS_TIMEOUT_MS": "1000",
            "NEXTBEST_DEADLINE_MS": "5000",
            "NEXTBEST_NAMESPACE": NAMESPACE,
            **more,
        }
        up = start(tmp_path_factory.mktemp("data"), "--catalog", str(folder), **settings)
        with Redis.from_url(up.redis_url()) as redis:
            yield cls(up, up.redis_url(), redis, folder)
        stop(up)

    def call(self, path: str, body: Any, key: str = "pk_dev", **headers: str) -> Any:
        request = urllib.request.Request(
            self.up.url + path,
            method="POST",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", **headers},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def request(self, method: str, path: str, key: str = "sk_dev", **headers: str) -> tuple[int, Any]:
        """Status and body, refusals too."""
        asked = urllib.request.Request(
            self.up.url + path, method=method, headers={"Authorization": f"Bearer {key}", **headers}
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def collect(self, *events: dict[str, Any], key: str = "pk_dev", **headers: str) -> Any:
        return self.call("/v1/events", {"events": list(events)}, key, **headers)

    def decide(
        self, visitor: dict[str, str], placement: str, key: str = "pk_dev", *, headers: Any = None, **more: Any
    ) -> dict[str, Any]:
        body = {"visitor": visitor, "placements": [placement], **more}
        (decision,) = self.call("/v1/decide", body, key, **(headers or {}))["decisions"]
        return dict(decision)

    def learned(self, placement: str) -> tuple[int, float]:
        arms = self.up.call("GET", f"/v1/placements/{placement}")["arms"]
        return sum(arm["exposures"] for arm in arms), sum(arm["rewards"] for arm in arms)

    def raw(self, topic: str) -> list[tuple[str, int, bytes]]:
        cipher = self.cipher

        async def read() -> list[tuple[str, int, bytes]]:
            log = open_log(self.log_url, Topics(prefix=f"{NAMESPACE}."), cipher=cipher)
            try:
                n_partitions = (await log.identity()).n_partitions
                return [
                    (entry.key, entry.offset, entry.value)
                    for partition in range(n_partitions)
                    async for entry in log.read(topic, partition, 0)
                ]
            finally:
                await log.close()

        return asyncio.run(read())

    def raw_keys(self, topic: str) -> set[str]:
        """Under which keys something stands."""
        return {key for key, _, _ in self.raw(topic)}

    def logged(self, key: str) -> list[Entry]:
        return [decode_entry(value) for found, _, value in self.raw(VISITOR_LOG) if found == key]

    def events(self, key: str) -> list[Any]:
        return [entry.event for entry in self.logged(key)]

    def outcomes(self, placement: str) -> dict[str, Outcome]:
        records = (value for key, _, value in self.raw(OUTCOMES) if key == placement)
        found = (decode_outcome(value) for value in records if not is_forgotten(value))
        return {outcome.choice.decision_id: outcome for outcome in found}

    def stored(self, key: str) -> VisitorState:
        """The state as it stands in Redis now."""
        value = self.redis.get(self.keys.visitor(key))
        assert not isinstance(value, str)
        return unpack_visitor(opened_visitor(self.cipher, key, value) if value else None)

    def state(self, key: str) -> VisitorState:
        """The state once all is folded that the log holds of it."""
        last = max((offset for found, offset, _ in self.raw(VISITOR_LOG) if found == key), default=-1)
        folded: list[VisitorState] = []

        def reached() -> bool:
            folded.append(self.stored(key))
            return folded[-1].offset >= last

        until(reached, f"{key} is folded to {last}")
        return folded[-1]

    def reward(self, decision: dict[str, Any], **headers: str) -> None:
        self.call(f"/v1/decisions/{decision['decisionId']}/reward", {"value": 1.0}, **headers)

    def activate(self, decision: dict[str, Any]) -> None:
        self.call(f"/v1/decisions/{decision['decisionId']}/activate", {})

    def granted(self, key: str) -> dict[str, bool]:
        return {purpose: word.granted for purpose, word in self.state(key).consents.items()}
