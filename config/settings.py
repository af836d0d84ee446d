"""Settings: everything a process is told from outside, one row each, from the environment.

Each field of ``Settings`` is read from ``NEXTBEST_`` + its name in capitals. All bad ones are reported at
once, unknown names among them. Secrets hide themselves when printed.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from background.redis_url import complete_url
from config.secret_files import read_secrets
from config.server_settings import redis_tls
from config.setting_values import DEVELOPMENT_SECRET, PREFIX, RedisUrl, Secret
from config.settings_checks import problems
from personalization.errors import InvalidInput, NextbestError
from tracing.variables import problems as trace_problems

NOT_SETTINGS = frozenset(
    {
        *("NEXTBEST_LISTEN_FD", "NEXTBEST_LIFELINE"),  # from the supervisor to its children
        *("NEXTBEST_FAILPOINT", "NEXTBEST_FAILPOINT_LOG", "NEXTBEST_FAILPOINT_OF_ONE", "NEXTBEST_UNSAFE"),
        *("NEXTBEST_CHROMIUM", "NEXTBEST_REQUIRE_ALL", "NEXTBEST_DATA", "NEXTBEST_FUZZ_EXAMPLES"),  # for tests
        "NEXTBEST_CATALOG_DIR",  # for compose.yaml
    }
)
"""Names with our prefix that are no settings, each read where it belongs."""

_SERVICE_LINK = re.compile(r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$")
"""What Kubernetes sets in every container for a Service called ``nextbest`` or ``nextbest-…``."""


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
    kafka_security: str = _row(
        "PLAINTEXT", "how brokers are spoken to: PLAINTEXT, SSL (TLS), SASL_SSL (TLS, and a user with a password)"
    )
    kafka_ca_file: str = _row(
        "", "PEM file of the CAs that may have signed a broker's certificate; empty: those this machine trusts"
    )
    kafka_certificate_file: str = _row("", "PEM file of the certificate shown to brokers, if they want one")
    kafka_key_file: str = _row(
        "", "PEM file of that certificate's key; empty: it stands in the certificate's file, too"
    )
    kafka_server_name: str = _row(
        "", "name that brokers' certificates are for, where it is another than the address connected to"
    )
    kafka_user: str = _row("", "user for SASL_SSL")
    kafka_password: Secret = _row(Secret(""), "that user's password")
    kafka_password_file: str = _row("", "file that `NEXTBEST_KAFKA_PASSWORD` stands in, instead of the variable")
    kafka_mechanism: str = _row("SCRAM-SHA-512", "of SASL: SCRAM-SHA-512, SCRAM-SHA-256, or PLAIN")
    redis: RedisUrl = _row(
        RedisUrl("redis://127.0.0.1:6379/0"),
        "URL of Redis (redis://, rediss:// or unix://). Commands that are not told find the Redis of a running "
        "`nextbest up` by its data folder",
    )
    redis_password: Secret = _row(Secret(""), "password of Redis, where it does not stand in the URL")
    redis_password_file: str = _row("", "file that `NEXTBEST_REDIS_PASSWORD` stands in, instead of the variable")
    redis_ca_file: str = _row(
        "",
        "for rediss://: PEM file of the CAs that may have signed the server's certificate; empty: those this "
        "machine trusts",
    )
    redis_certificate_file: str = _row("", "PEM file of the certificate shown to Redis, if it wants one")
    redis_key_file: str = _row(
        "", "PEM file of that certificate's key; empty: it stands in the certificate's file, too"
    )
    redis_server_name: str = _row(
        "", "name that the certificate of Redis is for, where it is another than the address connected to"
    )
    namespace: str = _row(
        "nextbest", "prefix of every Redis key and Kafka topic, so that several live side by side"
    )
    secret: Secret = _row(
        Secret(DEVELOPMENT_SECRET),
        "what the keys of decision ids, draws, consents and models are derived from; same everywhere; at least 32 "
        "characters (`openssl rand -hex 32`). The default is for an API on this machine alone. `nextbest up` makes "
        "one of its own, and keeps it in its data folder",
    )
    secret_file: str = _row("", "file that `NEXTBEST_SECRET` stands in, instead of the variable")
    secret_before: Secret = _row(
        Secret(""),
        "the secret before the one in force: what was made under it is still accepted, nothing is made under it "
        "([how to rotate](runbook.md#another-secret))",
    )
    secret_before_file: str = _row("", "file that `NEXTBEST_SECRET_BEFORE` stands in, instead of the variable")
    encrypt: str = _row(
        "auto",
        "whether personal data are encrypted where they lie, in Redis, in the log and in files: `auto` (where the "
        "secret is one of your own), `on`, `off`. What was written before stays readable either way "
        "([what it protects](privacy.md#encryption))",
    )
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
    redis_memory_bytes: int = _row(
        0,
        "what the Redis that `nextbest up` starts may keep in memory, 16 MiB or more; 0: half of the machine's, or "
        "of the container's. Nothing is evicted: beyond it no more is taken",
    )
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
    fold_wait_ms: int = _row(1, "how long an event waits for others to be folded with")
    fold_linger_ms: int = _row(
        25, "how long a decision's entry or a time-out, for which nobody waits, waits for others to be folded with"
    )
    log_bytes: int = _row(268_435_456, "bytes a topic may hold on Redis Streams before writers are told to wait")
    log_age_ms: int = _row(
        604_800_000,
        "age after which entries go from the log once they are folded and learned; on Redis a 64th later at most",
    )
    record_rows_bytes: int = _row(
        67_108_864,
        "what the rows may take up in Redis by which the records of decisions, outcomes and visitors' entries are "
        "found in the log, 1 MiB or more: beyond it the oldest records are not found any more. At least 640 KiB a "
        "partition are used, once it has so many entries (896 KiB where requests go by several names)",
    )
    thresholds_ms: int = _row(
        3_600_000,
        "between two computed thresholds of tiers by shares of visitors (`top 10%`), at least; each is a version "
        "of the catalog. Sooner where there are none yet, or twice as many visitors",
    )
    max_body_bytes: int = _row(4_194_304, "largest request body, decompressed")
    max_connections: int = _row(
        0,
        "connections an API process holds at most; 0: 8192. Never more than its limit of open files, less 128",
    )
    max_connections_of_address: int = _row(256, "connections of one address to an API process, at most")
    trusted_proxies: str = _row(
        "",
        "addresses and networks of proxies in front of the API, separated by commas (10.0.0.7, 192.168.0.0/16): "
        "they speak for many, so that NEXTBEST_MAX_CONNECTIONS alone bounds their connections, and their "
        "X-Forwarded-For says from which network a request comes",
    )
    audit_records: int = _row(
        100_000,
        "records that each trail of the audit keeps, acts and reads; the oldest go first. 420 bytes each, or more",
    )
    log: str = _row("text", "how processes write their log: `text`, or `json` (an object a line)")
    log_requests: str = _row(
        "0",
        "share of the API's requests that have a line in the log, from 0 (none) to 1 (all); SIGUSR1 to an API "
        "process begins with them, and ends with them",
    )
    traces: str = _row(
        "auto",
        "whether traces are handed to an OpenTelemetry collector: `auto` (if OTEL_EXPORTER_OTLP_ENDPOINT names "
        "one), `otlp`, `off` ([how](traces.md))",
    )
    metrics_host: str = _row(
        "127.0.0.1",
        "address that every process serves /metrics, /healthz and /readyz on: this machine's own, or one that only "
        "those reach who run it, as they tell how it is",
    )
    metrics_port: int = _row(
        0,
        "port of /metrics, /healthz and /readyz; 0: any free one. Under `nextbest up` it is the folder's, those of "
        "learner, API and projector are 1, 2 and 3 above; 0: the API's port + 1000, + 2000, + 3000 and + 4000",
    )

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
        errors = unknown_settings(environment)
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
        errors.extend(read_secrets(values))
        settings = cls(**values)
        errors.extend(problems(settings))
        if settings.traces == "otlp":  # else they may be meant for others
            errors.extend(trace_problems(environment))
        if errors:
            raise InvalidSettings(errors)
        # With all that belongs to it, so that whoever opens a client by it cannot leave anything out.
        whole = complete_url(settings.redis, settings.redis_password, redis_tls(settings))
        return replace(settings, redis=RedisUrl(whole))


def unknown_settings(environment: Mapping[str, str]) -> list[InvalidInput]:
    """What begins like a setting and is none: a misspelt one would be ignored, and its default be in force.

    >>> [str(error) for error in unknown_settings({"NEXTBEST_REDDIS": "redis://cache", "HOME": "/root"})]
    ['NEXTBEST_REDDIS: there is no such setting; did you mean NEXTBEST_REDIS? docs/settings.md lists all']
    """
    known = [row.name.upper() for row in fields(Settings)]
    found = []
    for name in sorted(environment):
        written = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or name in NOT_SETTINGS or _SERVICE_LINK.search(name):
            continue
        if name == PREFIX + written and written in known:
            continue
        near = difflib.get_close_matches(written, known, 1)
        hint = f"did you mean {PREFIX}{near[0]}? " if near else ""
        message = f"there is no such setting; {hint}docs/settings.md lists all"
        found.append(InvalidInput(name, message, "unknown_name"))
    return found


def is_secret_set(environment: Mapping[str, str]) -> bool:
    """Whether somebody has given a secret, so that none has to be made or found."""
    return any(environment.get(name, "").strip() for name in ("NEXTBEST_SECRET", "NEXTBEST_SECRET_FILE"))
