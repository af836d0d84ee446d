"""Settings: everything a process is told from outside, one row each, from the environment.

Each field of ``Settings`` is read from ``NEXTBEST_`` + its name in capitals. All bad ones are reported at
once. Secrets hide themselves when printed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from personalization.errors import InvalidInput, NextbestError

PREFIX = "NEXTBEST_"
DEVELOPMENT_SECRET = "development-secret"
LOOPBACK = ("127.", "localhost", "::1")


class Secret(str):
    """Text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"


class InvalidSettings(NextbestError):
    """Settings with mistakes: all of them."""

    def __init__(self, errors: list[InvalidInput]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


def _row(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """What every process is told. Durations are milliseconds, sizes bytes."""

    kafka: str = _row("", "bootstrap servers of a real Kafka, host:port[,…]; empty: the log lives in Redis Streams")
    redis: str = _row("redis://127.0.0.1:6379/0", "URL of Redis (redis://, rediss://, or redis+cluster://)")
    namespace: str = _row(
        "nextbest", "prefix of every Redis key and Kafka topic, so that several live side by side"
    )
    secret: Secret = _row(Secret(DEVELOPMENT_SECRET), "key of decision ids, draws and checkpoints; same everywhere")
    host: str = _row("127.0.0.1", "address the API listens on")
    port: int = _row(8700, "port the API listens on")
    api_processes: int = _row(1, "API processes that share the port")
    catalog: str = _row("", "folder of catalog YAML to publish; empty: the shipped example shop")
    data_dir: str = _row(".nextbest", "where the spool, the embedded Redis and other local data live")
    partitions: int = _row(
        0, "partitions of a new log, a power of two up to 1024; 0: 4 on Redis Streams, 64 on Kafka"
    )
    deadline_ms: int = _row(50, "a decision answers within this, from whatever is at hand")
    redis_timeout_ms: int = _row(20, "the decider's limit for one Redis read")
    lease_ms: int = _row(10_000, "a worker silent for this long loses its partitions (lease, Kafka session)")
    commit_ms: int = _row(500, "between two commits of folded offsets")
    checkpoint_ms: int = _row(10_000, "between two durable checkpoints of a model, at most")
    checkpoint_outcomes: int = _row(5_000, "outcomes between two durable checkpoints of a model, at most")
    publish_ms: int = _row(200, "between two published snapshots of a model, at least")
    publish_conversion_ms: int = _row(
        5_000, "between two published models of a conversion, at least: they are read whole"
    )
    timer_poll_ms: int = _row(200, "between two looks for due time-outs")
    fold_batch: int = _row(500, "entries folded in one round trip, at most")
    fold_wait_ms: int = _row(1, "how long a batch waits to fill")
    log_bytes: int = _row(268_435_456, "bytes a topic may hold on Redis Streams before writers are told to wait")
    log_age_ms: int = _row(604_800_000, "age after which folded entries may go from the log")
    max_body_bytes: int = _row(4_194_304, "largest request body, decompressed")
    metrics_port: int = _row(0, "port of /metrics, /healthz and /readyz of folder and learner; 0: any free one")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Raises
        ------
        InvalidSettings
            With every mistake.
        """
        environment = os.environ if environment is None else environment
        types = get_type_hints(cls)
        values: dict[str, Any] = {}
        errors: list[InvalidInput] = []
        for row in fields(cls):
            name = PREFIX + row.name.upper()
            if name not in environment:
                continue
            text = environment[name].strip()
            if types[row.name] is int:
                if text.isdecimal():
                    values[row.name] = int(text)
                else:
                    errors.append(InvalidInput(name, f"must be a whole number, 0 or more, not {text!r}"))
            else:
                values[row.name] = types[row.name](text)
        settings = cls(**values)
        errors.extend(_problems(settings))
        if errors:
            raise InvalidSettings(errors)
        return settings


def _problems(settings: Settings) -> list[InvalidInput]:
    found = []
    p = settings.partitions
    if p and (p > 1024 or p & (p - 1)):
        found.append(InvalidInput(PREFIX + "PARTITIONS", f"must be a power of two up to 1024, not {p}"))
    if not settings.redis.startswith(("redis://", "rediss://", "unix://", "redis+cluster://")):
        found.append(InvalidInput(PREFIX + "REDIS", "must be a URL such as redis://127.0.0.1:6379/0"))
    if settings.port > 65_535 or settings.metrics_port > 65_535:
        found.append(InvalidInput(PREFIX + "PORT", "must lie between 0 and 65535"))
    if not settings.secret:
        found.append(InvalidInput(PREFIX + "SECRET", "must not be empty"))
    if settings.secret == DEVELOPMENT_SECRET and not settings.host.startswith(LOOPBACK):
        found.append(
            InvalidInput(
                PREFIX + "SECRET",
                f"must be one of your own where the API listens beyond this machine ({settings.host}): whoever "
                "knows it can forge decision ids",
            )
        )
    for name in ("lease_ms", "fold_batch", "deadline_ms", "redis_timeout_ms", "api_processes", "publish_ms"):
        if getattr(settings, name) < 1:
            found.append(InvalidInput(PREFIX + name.upper(), "must be 1 or more"))
    return found
