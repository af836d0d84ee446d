"""Settings: everything a process is told from outside, one row each, from the environment.

Each field of ``Settings`` is read from ``NEXTBEST_`` + its name in capitals. All bad ones are reported at
once, unknown names among them. Secrets hide themselves when printed.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import parse_qs, urlsplit

from background.redis_url import PREFIX as TLS_PREFIX
from background.redis_url import complete_url
from background.tls import TlsFiles
from config.server_settings import kafka_problems, redis_problems, tls_files
from personalization.errors import InvalidInput, NextbestError
from tracing.variables import problems as trace_problems

PREFIX = "NEXTBEST_"
DEVELOPMENT_SECRET = "development-secret"
MIN_SECRET_CHARS = 32
"""As many hexadecimal digits are 128 bits: beyond any search, if they were drawn by lot."""

MIN_REDIS_BYTES = 16 * 1024 * 1024
MIN_AUDIT_RECORDS = 1_000
MIN_ROWS_BYTES = 1024 * 1024

MAKE_A_SECRET = "`openssl rand -hex 32`"

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


class Secret(str):
    """Text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('…')"


class RedisUrl(str):
    """A Redis URL whose password does not show in its ``repr``; elsewhere ``shown_url`` masks it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"RedisUrl({shown_url(self)!r})"


def shown_url(url: str) -> str:
    """``url`` with its password, if it has one, masked: for screens, logs and errors.

    >>> shown_url("redis://default:hunter2@cache:6379/0"), shown_url("redis://cache:6379/0?password=hunter2&db=1")
    ('redis://default:***@cache:6379/0', 'redis://cache:6379/0?password=***&db=1')
    >>> shown_url("redis://:p@ss/word@cache"), shown_url("redis://127.0.0.1:6379/0")
    ('redis://:***@cache', 'redis://127.0.0.1:6379/0')
    >>> shown_url("rediss://cache:6379/0?tls_ca=%2Fetc%2Fca.pem")
    'rediss://cache:6379/0'
    """
    scheme, separator, rest = url.partition("://")
    # A password written without percent-encoding may hold any of "/?#@": what stands before the last @ hides.
    who, at, where = rest.rpartition("@")
    user = who.partition(":")[0]
    who = f"{user}:***" if ":" in who else who
    where = re.sub(r"(?i)\b(password=)[^&#]*", r"\1***", where)
    where = re.sub(rf"(?<=[?&]){TLS_PREFIX}\w+=[^&#]*&?", "", where).rstrip("?&")
    return f"{scheme}{separator}{who}{at}{where}"


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost", "LocalHost.")]
    [True, True, True, True, True]
    >>> [is_loopback(host) for host in ("localhost.corp", "127.0.0.1.nip.io", "0.0.0.0", "::", "")]
    [False, False, False, False, False]
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"


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
        errors.extend(_read_secrets(values))
        settings = cls(**values)
        errors.extend(_problems(settings))
        if settings.traces == "otlp":  # else they may be meant for others
            errors.extend(trace_problems(environment))
        if errors:
            raise InvalidSettings(errors)
        # With all that belongs to it, so that whoever opens a client by it cannot leave anything out.
        whole = complete_url(settings.redis, settings.redis_password, redis_tls(settings))
        return replace(settings, redis=RedisUrl(whole))


def redis_tls(settings: Settings) -> TlsFiles:
    """The files of a connection to Redis."""
    return tls_files(
        settings.redis_ca_file,
        settings.redis_certificate_file,
        settings.redis_key_file,
        settings.redis_server_name,
    )


def kafka_tls(settings: Settings) -> TlsFiles:
    """The files of a connection to Kafka."""
    return tls_files(
        settings.kafka_ca_file,
        settings.kafka_certificate_file,
        settings.kafka_key_file,
        settings.kafka_server_name,
    )


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


def _problems(settings: Settings) -> list[InvalidInput]:
    found = []
    p = settings.partitions
    if p and (p > 1024 or p & (p - 1)):
        found.append(InvalidInput(PREFIX + "PARTITIONS", f"must be a power of two up to 1024, not {p}"))
    if problem := _redis_problem(settings.redis):
        found.append(InvalidInput(PREFIX + "REDIS", problem))
    else:
        found.extend(redis_problems(settings.redis, settings.redis_password, redis_tls(settings)))
    found.extend(
        kafka_problems(
            settings.kafka_security,
            kafka_tls(settings),
            settings.kafka_mechanism,
            settings.kafka_user,
            settings.kafka_password,
        )
    )
    if settings.port > 65_535 or settings.metrics_port > 65_535:
        found.append(InvalidInput(PREFIX + "PORT", "must lie between 0 and 65535"))
    if problem := _secret_problem(settings):
        found.append(InvalidInput(PREFIX + "SECRET", problem))
    if settings.secret and settings.secret_before == settings.secret:
        found.append(InvalidInput(PREFIX + "SECRET_BEFORE", "is the secret in force; leave it out"))
    if settings.encrypt not in ("auto", "on", "off"):
        found.append(InvalidInput(PREFIX + "ENCRYPT", f"must be auto, on or off, not {settings.encrypt!r}"))
    for name in ("lease_ms", "fold_batch", "deadline_ms", "redis_timeout_ms", "api_processes", "publish_ms"):
        if getattr(settings, name) < 1:
            found.append(InvalidInput(PREFIX + name.upper(), "must be 1 or more"))
    if 0 < settings.redis_memory_bytes < MIN_REDIS_BYTES:
        found.append(InvalidInput(PREFIX + "REDIS_MEMORY_BYTES", f"must be 0, or {MIN_REDIS_BYTES} or more"))
    if settings.record_rows_bytes < MIN_ROWS_BYTES:
        found.append(InvalidInput(PREFIX + "RECORD_ROWS_BYTES", f"must be {MIN_ROWS_BYTES} or more"))
    if settings.audit_records < MIN_AUDIT_RECORDS:
        message = f"must be {MIN_AUDIT_RECORDS} or more, so that what was done can be found some time later"
        found.append(InvalidInput(PREFIX + "AUDIT_RECORDS", message))
    found.extend(_door_problems(settings))
    found.extend(_log_problems(settings))
    return found


def _log_problems(settings: Settings) -> list[InvalidInput]:
    found = []
    if settings.log not in ("text", "json"):
        found.append(InvalidInput(PREFIX + "LOG", f"must be text or json, not {settings.log!r}"))
    if settings.traces not in ("auto", "otlp", "off"):
        found.append(InvalidInput(PREFIX + "TRACES", f"must be auto, otlp or off, not {settings.traces!r}"))
    try:
        share = float(settings.log_requests)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        message = f"must be a share from 0 (none) to 1 (all), such as 0.01, not {settings.log_requests!r}"
        found.append(InvalidInput(PREFIX + "LOG_REQUESTS", message))
    return found


def networks_of(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Addresses and networks, separated by commas.

    Raises
    ------
    ValueError
        For what is neither.

    >>> networks_of("192.0.2.7, 10.0.0.0/8")
    (IPv4Network('192.0.2.7/32'), IPv4Network('10.0.0.0/8'))
    """
    return tuple([ipaddress.ip_network(each.strip()) for each in text.split(",") if each.strip()])


def _door_problems(settings: Settings) -> list[InvalidInput]:
    found = []
    if settings.max_connections_of_address < 1:
        found.append(InvalidInput(PREFIX + "MAX_CONNECTIONS_OF_ADDRESS", "must be 1 or more"))
    try:
        networks_of(settings.trusted_proxies)
    except ValueError as error:
        message = f"{error}; write addresses and networks such as 10.0.0.7, 192.168.0.0/16"
        found.append(InvalidInput(PREFIX + "TRUSTED_PROXIES", message))
    return found


_SECRET_FILES = {
    "NEXTBEST_SECRET_FILE": "secret",
    "NEXTBEST_SECRET_BEFORE_FILE": "secret_before",
    "NEXTBEST_REDIS_PASSWORD_FILE": "redis_password",
    "NEXTBEST_KAFKA_PASSWORD_FILE": "kafka_password",
}
"""What is read from a file → the field it is put into."""


def _read_secrets(values: dict[str, Any]) -> list[InvalidInput]:
    """Put what the files hold in the place of their names."""
    found = []
    for variable, name in _SECRET_FILES.items():
        path = values.get(f"{name}_file")
        if not path:
            continue
        if name in values:
            message = f"is set, and {PREFIX}{name.upper()} too: which of them is meant? Leave one out"
            found.append(InvalidInput(variable, message))
            continue
        try:
            text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
            found.append(InvalidInput(variable, f"{path} cannot be read: {reason}"))
            continue
        if not text:
            what = "the password into it" if name.endswith("password") else f"a secret into it: {MAKE_A_SECRET}"
            found.append(InvalidInput(variable, f"{path} is empty; write {what}"))
        else:
            values[name] = Secret(text)
    return found


def _secret_problem(settings: Settings) -> str | None:
    """What is wrong with the secret in force; in words that do not quote it."""
    secret = settings.secret
    if not secret:
        return f"must not be empty; {MAKE_A_SECRET} makes one"
    if secret == DEVELOPMENT_SECRET:
        if is_loopback(settings.host):
            return None
        return (
            f"must be one of your own where the API listens beyond this machine ({settings.host}): whoever "
            f"knows it can forge decision ids; {MAKE_A_SECRET} makes one"
        )
    if len(secret) < MIN_SECRET_CHARS:
        return (
            f"has {len(secret)} characters, and must have {MIN_SECRET_CHARS} or more; {MAKE_A_SECRET} makes one. "
            f"An installation that has this one already goes on with it as {PREFIX}SECRET_BEFORE"
        )
    return None


def is_secret_set(environment: Mapping[str, str]) -> bool:
    """Whether somebody has given a secret, so that none has to be made or found."""
    return any(environment.get(name, "").strip() for name in ("NEXTBEST_SECRET", "NEXTBEST_SECRET_FILE"))


def _redis_problem(url: str) -> str | None:
    """What is wrong with a Redis URL; in words that do not quote it, as a password may be what is wrong."""
    if url.startswith("redis+cluster://"):
        return (
            "a Redis Cluster cannot be used: the log, catalogs, models and leases are read and written through one "
            "server, and a Cluster's node answers for its own share of the keys alone; give one server, or a proxy "
            "in front of the Cluster, as redis://host:port"
        )
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return "must be a URL such as redis://127.0.0.1:6379/0"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises if it is none)
        parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        return (
            "is no URL: host:port cannot be read. In a password, write / as %2F, ? as %3F, # as %23, @ as %40 "
            "and : as %3A"
        )
    return None
