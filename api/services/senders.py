"""Who sent a request, as entries of the log have it: source, class of key, and from which network."""

from __future__ import annotations

import functools

from api.access.key_ring import Access
from api.access.networks import PREFIX_OF, address_of, is_own
from personalization.events.entry import Sender
from personalization.keyed_hash import hmac_sha256

ORIGIN_BYTES = 8
MAX_SENDERS = 65_536
"""Addresses whose sender is remembered by each process (``benchmarks.api_memory``)."""

_DAY_MS = 86_400_000


class Senders:
    """Makes senders; one of an address seen today costs a look-up.

    The origin is an HMAC of the network with the day in it: within a day events of one network can be told to be
    that, and across days, or without the secret, nothing can be told. Headers of proxies are anybody's word,
    but for those of proxies that the settings trust (``api.access.networks.spoken_for``).
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._made = functools.lru_cache(MAX_SENDERS)(self._make)

    def of(self, access: Access, address: str, now_ms: int) -> Sender:
        """The sender of a request with that key; ``address`` is where it came from, if that is known."""
        by = "write" if access.is_page else "server"
        return self._made(access.source, by, access.after_login, address, now_ms // _DAY_MS)

    def _make(self, source: str, by: str, after_login: str, host: str, day: int) -> Sender:
        return Sender(source, by, after_login=after_login, origin=origin_of(self._secret, host, day))


def origin_of(secret: bytes, host: str, day: int) -> bytes:
    """What stands for the network of an address on a day (since 1970, UTC).

    Empty for what is no address, and for one of this machine or its own networks: behind it stands a proxy or a
    colleague, and neither is the network of a visitor.

    >>> home = origin_of(b"s", "192.0.2.7", 1)
    >>> [origin_of(b"s", host, 1) == home for host in ("192.0.2.200", "::ffff:192.0.2.9", "192.0.3.7")]
    [True, True, False]
    >>> origin_of(b"s", "192.0.2.7", 2) == home, origin_of(b"s", "unix:", 1)
    (False, b'')
    >>> [origin_of(b"s", host, 1) for host in ("127.0.0.1", "10.1.2.3", "::1", "fe80::1%eth0")]
    [b'', b'', b'', b'']
    """
    address = address_of(host)
    if address is None or is_own(address):
        return b""
    network = int(address) >> (address.max_prefixlen - PREFIX_OF[address.version])
    return hmac_sha256(secret, f"origin\x1f{day}\x1f{address.version}\x1f{network}".encode())[:ORIGIN_BYTES]
