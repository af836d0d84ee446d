"""How much a source may ask for: a number of requests in a length of time."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from personalization.catalog.check import Check
from personalization.catalog.duration import read_duration_ms
from personalization.catalog.spec import Spec

UNLIMITED = "unlimited"

MAX_WITHIN_MS = 60 * 60 * 1000
"""A process forgets at its end; and nobody waits for longer."""

_RATE = re.compile(r"(?P<limit>\d{1,9})\s*(?:per|a|/)\s*(?P<within>[a-z0-9. ]+)", re.IGNORECASE)


class Rate(Spec, frozen=True, kw_only=True):
    """A token bucket: ``limit`` requests at once, and as many again in each ``within``, little by little.

    Attributes
    ----------
    limit
        How many, 1 or more; 0 where there is no limit.
    within_ms
        How long an empty bucket takes to be full again; an hour at most.
    """

    short_form: ClassVar[str] = "2000 per 10s"
    short_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "pattern": r"^(\d+\s*(per|a|/)\s*[\d.]*\s*[a-z][a-z\d. ]*|unlimited)$",
        "examples": ["2000 per 10s", "600 per minute", UNLIMITED],
    }

    limit: int
    within_ms: int = 0

    @classmethod
    def from_short(cls, text: str) -> Rate | None:
        """``2000 per 10s``, ``600 per minute`` or ``unlimited``; None if the text is none of them.

        >>> Rate.from_short("2000 per 10s"), Rate.from_short("unlimited").is_limited, Rate.from_short("2000")
        (Rate(limit=2000, within_ms=10000), False, None)
        """
        text = text.strip()
        if text.lower() == UNLIMITED:
            return UNBOUNDED
        match = _RATE.fullmatch(text)
        if match is None:
            return None
        within = match["within"].strip()
        within_ms = read_duration_ms(within if within[:1].isdigit() else f"1 {within}")
        return cls(limit=int(match["limit"]), within_ms=within_ms) if within_ms else None

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return self.limit > 0


UNBOUNDED = Rate(limit=0)


class RateLimits(Spec, frozen=True, kw_only=True):
    """What one API process takes of a source.

    A request counts once, and once more for each 10 further events, placements or items in it.

    Attributes
    ----------
    per_address
        With a write key, of one address (IPv6: of one /64). Addresses of this machine, of private networks and of
        trusted proxies are not bounded: behind them are many.
    per_write_key
        With a write key, of all addresses together. It is public: whoever uses up such a limit keeps out everybody.
    per_server_key
        With a server key.
    """

    per_address: Rate = Rate(limit=2_000, within_ms=10_000)
    per_write_key: Rate = UNBOUNDED
    per_server_key: Rate = Rate(limit=20_000, within_ms=10_000)


def check_limits(limits: RateLimits, where: str, check: Check) -> None:
    """Note what no bucket can be."""
    for name in RateLimits.__struct_fields__:
        rate: Rate = getattr(limits, name)
        check.demand(
            rate == UNBOUNDED or (rate.limit > 0 and 0 < rate.within_ms <= MAX_WITHIN_MS),
            f"{where}.{name}",
            f"must be 1 or more within a length of time up to an hour, such as 2000 per 10s; or {UNLIMITED}",
        )
