"""How much one address, and one key, may ask of this process.

Who is admitted is known before the body is read; what the body then turns out to hold is charged afterwards, so
that no batch is too large to be taken.
"""

from __future__ import annotations

import functools
import ipaddress
import math
from collections.abc import Sequence

from api.access.caller import Caller
from api.access.key_ring import Access
from api.access.networks import Network, address_of, is_own, lies_in
from api.errors import rate_limited
from api.limits.buckets import MAX_BUCKETS, Buckets
from api.process.metrics import ApiMetrics

THINGS_PER_TOKEN = 10
"""Events, placements or items that a request holds for one token: an event costs a sixth of a decision."""


class RateLimiter:
    """Admits requests, or says when to come back."""

    def __init__(self, metrics: ApiMetrics, trusted_proxies: Sequence[Network] = ()) -> None:
        self._metrics = metrics
        self._trusted = tuple(trusted_proxies)
        self._addresses = Buckets()
        self._keys = Buckets()
        self._place_of = functools.lru_cache(MAX_BUCKETS // 4)(self._place)

    def admit(self, caller: Caller, address: str, now: float) -> None:
        """Let one request in.

        Raises
        ------
        ApiError
            429, with when to come back.
        """
        access = caller.access
        pace = access.per_address
        if pace is not None and (place := self._place_of(address)):
            wait_s = self._addresses.wait_s((access.source, place), pace, now)
            if wait_s:
                self._refuse(access, "per_address", wait_s)
        pace = access.per_key
        if pace is not None:
            wait_s = self._keys.wait_s((access.source, caller.key), pace, now)
            if wait_s:
                self._refuse(access, f"per_{access.role}_key", wait_s)

    def charge(self, caller: Caller, address: str, n_things: int, now: float) -> None:
        """Take what a request holds beyond its first ten things."""
        n_tokens = (n_things - 1) // THINGS_PER_TOKEN
        if n_tokens <= 0:
            return
        access = caller.access
        if access.per_address is not None and (place := self._place_of(address)):
            self._addresses.charge((access.source, place), access.per_address, n_tokens, now)
        if access.per_key is not None:
            self._keys.charge((access.source, caller.key), access.per_key, n_tokens, now)

    def _refuse(self, access: Access, limit: str, wait_s: float) -> None:
        self._metrics.rate_limited.labels(access.source, limit).inc()
        raise rate_limited(access.source, limit, max(1, math.ceil(wait_s)))

    def _place(self, host: str) -> str:
        """What shares a bucket with that address; empty where nothing does."""
        address = address_of(host)
        if address is None or is_own(address) or lies_in(host, self._trusted):
            return ""
        if address.version == 4:
            return str(address)
        return str(ipaddress.ip_network((address, 64), strict=False))
