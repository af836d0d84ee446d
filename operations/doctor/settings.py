"""Settings: the wrong, the unknown, the risky."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from config.secret_files import MAKE_A_SECRET
from config.setting_values import DEVELOPMENT_SECRET, is_loopback
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings


async def check_settings(around: Surroundings) -> list[Finding]:
    """Everything that is wrong with the settings, or risky."""
    found = [wrong("settings", str(error), "set it right, or leave it out") for error in around.wrong_settings]
    found += _risky(around)
    if found:
        return found
    n_set = sum(name.startswith("NEXTBEST_") for name in around.environment)
    return [ok("settings", f"all that are given can be read ({n_set})")]


def _risky(around: Surroundings) -> Iterator[Finding]:
    settings, environment = around.settings, around.environment
    has_own = around.runs_here or (around.data_dir / "secret").is_file()  # made by `nextbest up`
    if settings.secret == DEVELOPMENT_SECRET and not has_own:
        yield look(
            "settings",
            "the secret is the one for development: everybody knows it, and nothing is encrypted by it",
            f"set NEXTBEST_SECRET, or NEXTBEST_SECRET_FILE, before others reach the API; {MAKE_A_SECRET} makes one",
        )
    if environment.get("NEXTBEST_UNSAFE"):
        yield wrong(
            "settings",
            f"NEXTBEST_UNSAFE leaves out safeguards ({environment['NEXTBEST_UNSAFE']}): states can be wrong "
            "after a crash",
            "unset it: it is for tests alone",
        )
    if environment.get("NEXTBEST_FAILPOINT"):
        yield wrong(
            "settings", "NEXTBEST_FAILPOINT makes processes end on purpose", "unset it: it is for tests alone"
        )
    if settings.encrypt == "off":
        yield look(
            "settings",
            "NEXTBEST_ENCRYPT is off: personal data lie in Redis, the log and files as they are",
            "set it to auto, or protect the disks otherwise",
        )
    host = urlsplit(settings.redis).hostname
    if settings.redis.startswith("redis://") and host and not is_loopback(host):
        yield look(
            "settings",
            f"the way to Redis at {host} is not encrypted: whoever is between reads its password and what is kept",
            "write rediss:// in NEXTBEST_REDIS, unless that network is yours alone",
            "redis-and-kafka-by-tls",
        )
    if host and not is_loopback(host) and not has_password(settings.redis):
        yield look(
            "settings",
            f"Redis at {host} is asked without a password: it lets in whoever reaches it",
            "give it one (requirepass, or a user), and us in NEXTBEST_REDIS_PASSWORD_FILE",
        )
    brokers = [each.rpartition(":")[0] for each in settings.kafka.split(",") if each]
    if settings.kafka_security == "PLAINTEXT" and not all(map(is_loopback, brokers)):
        yield look(
            "settings",
            "the way to Kafka is not encrypted: whoever is between reads the log",
            "set NEXTBEST_KAFKA_SECURITY, unless that network is yours alone",
            "redis-and-kafka-by-tls",
        )


def has_password(url: str) -> bool:
    """Whether the URL of a Redis has a password.

    >>> has_password("rediss://:hunter2@cache/0"), has_password("redis://cache/0"), has_password("redis://me@cache")
    (True, False, False)
    """
    parts = urlsplit(url)
    return bool(parts.password) or "password=" in parts.query
