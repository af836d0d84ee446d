"""What the text of a setting may stand for: a secret, the URL of Redis, addresses and networks."""

from __future__ import annotations

import ipaddress
import re

from background.redis_url import PREFIX as TLS_PREFIX

PREFIX = "NEXTBEST_"
DEVELOPMENT_SECRET = "development-secret"


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
