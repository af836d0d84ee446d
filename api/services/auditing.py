"""What a request is recorded as in the audit: an act or a read, by the permission that its route asks for.

It is recorded before it is done: what cannot be recorded is not done. What then fails is recorded once more,
with the number of the first record. Deciding and collecting are recorded nowhere but in the log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from api.access.caller import Caller
from api.access.networks import network_around
from api.access.permissions import Permission
from api.process.outages import Spoken, outage_of
from api.services.refused_acts import RefusedActs
from personalization.audit.chain import Head, SignedRecord
from personalization.audit.record import Act, Outcome, Trail, visitor_mark
from personalization.errors import Refused, Unavailable

logger = logging.getLogger(__name__)

TRAIL_OF: Mapping[Permission, Trail] = MappingProxyType(
    {
        Permission.READ: "reads",
        Permission.VISITORS: "reads",
        Permission.AUDIT: "reads",
        Permission.ITEMS: "acts",
        Permission.UNLINK: "acts",
        Permission.EXPORT: "acts",
        Permission.ERASE: "acts",
        Permission.PUBLISH: "acts",
    }
)
"""Where a route that asks for it is recorded, unless it only looks (``api.http.dialect.Route.trail``)."""

TIMEOUT_S = 0.9
"""A caller is told within a second that the audit is away."""

NOT_RECORDED = frozenset({Permission.COLLECT, Permission.DECIDE, Permission.RANK, Permission.REWARD_MONEY})
"""What visitors do, and what is decided for them: the log holds it, and no request of a page waits for this."""

_NAMED_OPENLY = frozenset({"name", "content_id"})
"""Variable parts of paths that are nobody's id: placements and items. Any other is taken for a visitor's."""


class Audit(Protocol):
    """Where records are kept."""

    async def append(self, act: Act) -> int:
        """Record an act, and give its number; raises ``Unavailable`` and ``Refused``."""
        ...

    async def read(self, trail: Trail, from_n: int, limit: int) -> list[SignedRecord]:
        """Records from a number on, in order; raises ``Unavailable``."""
        ...

    async def head(self, trail: Trail) -> Head:
        """The last record; raises ``Unavailable``."""
        ...


class AuditedRequest:
    """One request to a route that is recorded.

    Parameters
    ----------
    trail, act
        Where it is recorded, and what it is called there.
    params
        What stands in the variable parts of its path.
    host
        The address it comes from.
    visitor_key
        What visitors are marked by.
    refused
        Takes what its caller may not.
    """

    __slots__ = ("_act", "_audit", "_caller", "_host", "_n", "_params", "_refused", "_trail", "_visitor_key")

    def __init__(
        self,
        audit: Audit,
        visitor_key: bytes,
        trail: Trail,
        act: str,
        caller: Caller,
        params: Mapping[str, str],
        host: str,
        refused: RefusedActs,
    ) -> None:
        self._refused = refused
        self._audit = audit
        self._visitor_key = visitor_key
        self._trail = trail
        self._act = act
        self._caller = caller
        self._params = params
        self._host = host
        self._n = 0

    async def begin(self, *, visitors: Iterable[str | None] = (), objects: Iterable[str] = ()) -> None:
        """Record that it is going to be done; what is in its path is named by itself.

        Raises
        ------
        Unavailable
            503: it is not recorded, and so must not be done.
        """
        if not self._n:
            self._n = await recorded(self._audit, self._made("allowed", visitors, objects))

    @property
    def has_begun(self) -> bool:
        """Whether it is recorded."""
        return self._n > 0

    async def refuse(self, now_s: float) -> None:
        """Record that its caller may not, or count it where that was recorded a moment ago.

        Of a key that stands in pages, and so is everybody's, nothing is recorded.
        """
        if self._caller.is_server:
            await self._refused.take(self._made("refused", status=403), now_s)

    async def fail(self, status: int) -> None:
        """Record that what had begun was not done, or not wholly."""
        if self._n:
            await recorded(self._audit, self._made("failed", status=status, of=self._n))

    def _made(
        self,
        outcome: Outcome,
        visitors: Iterable[str | None] = (),
        objects: Iterable[str] = (),
        *,
        status: int = 0,
        of: int = 0,
    ) -> Act:
        named = [
            f"{name}:{value}" if name in _NAMED_OPENLY else visitor_mark(self._visitor_key, value)
            for name, value in self._params.items()
        ]
        named += [visitor_mark(self._visitor_key, each) for each in visitors if each is not None]
        access = self._caller.access
        return Act(
            trail=self._trail,
            actor=f"{access.source}/{access.key_name}",
            act=self._act,
            objects=(*named, *objects),
            outcome=outcome,
            status=status,
            network=network_around(self._host),
            of=of,
        )


async def recorded(audit: Audit, act: Act) -> int:
    """Record an act, and give its number; raises ``Unavailable``, in words for its caller."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await audit.append(act)
    except (Unavailable, TimeoutError) as error:
        why = "Redis does not answer in time" if isinstance(error, TimeoutError) else outage_of(error).words
        raise Spoken(f"this is recorded before it is done, and the audit cannot be written: {why}") from error
    except Refused as error:
        logger.error("audit_refused", extra={"reason": str(error)})
        raise Spoken(
            "this is recorded before it is done, and nothing fits behind what stands in the audit; a person "
            "has to act, and the log of this process says how"
        ) from error


class NoAudit:
    """The audit of a process that keeps none: nothing that has to be recorded is done."""

    async def append(self, act: Act) -> int:
        """Refuse."""
        raise Unavailable("this process keeps no audit")

    async def read(self, trail: Trail, from_n: int, limit: int) -> list[SignedRecord]:
        """Refuse."""
        raise Unavailable("this process keeps no audit")

    async def head(self, trail: Trail) -> Head:
        """Refuse."""
        raise Unavailable("this process keeps no audit")
