"""What is wrong with settings that can each be read: bounds, what fits together, what must not be left as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from config.secret_files import MAKE_A_SECRET
from config.server_settings import kafka_problems, kafka_tls, redis_problems, redis_tls
from config.setting_values import DEVELOPMENT_SECRET, PREFIX, is_loopback, networks_of
from personalization.errors import InvalidInput

if TYPE_CHECKING:
    from config.settings import Settings

MIN_SECRET_CHARS = 32
"""As many hexadecimal digits are 128 bits: beyond any search, if they were drawn by lot."""

MIN_REDIS_BYTES = 16 * 1024 * 1024
MIN_AUDIT_RECORDS = 1_000
MIN_ROWS_BYTES = 1024 * 1024


def problems(settings: Settings) -> list[InvalidInput]:
    """All that is wrong with them."""
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
    positive = ("lease_ms", "fold_batch", "deadline_ms", "redis_timeout_ms", "api_processes", "publish_ms")
    for name in (*positive, "thresholds_ms"):
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
