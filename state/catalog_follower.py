"""Keeps the newest catalog at hand, compiled, and fetches the old ones that the log names."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Self, TypeAlias

from redis.exceptions import RedisError

from background.cancelling import pause, stop_if_cancelled
from background.supervisor import TaskSupervisor
from eventlog.redis_errors import is_passing
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import CompiledCatalog, InvalidCatalog, compile_catalog
from personalization.errors import Refused, Unavailable
from state.catalog_store import CatalogStore

logger = logging.getLogger(__name__)

LOST_AFTER_S = 10.0
"""A version is published before the log names it: one that is missing for so long is told of as lost."""

Listener: TypeAlias = Callable[[CompiledCatalog], None]

MISSING_POLL_S = 0.1
"""Between two looks for a version that is waited for; its announcement may have been lost."""


def _nothing(_: Catalog) -> str:
    return ""


class CatalogFollower:
    """The catalog as one process sees it.

    Told by pub/sub, and looking every ``poll_s`` besides. A version that this process cannot read or compile, for
    whatever reason, is refused with a logged error, and the last good one stays.

    ``run`` follows until cancelled, for who keeps it among other tasks; ``start`` and ``stop`` do that themselves.

    Parameters
    ----------
    store
        Where versions are published.
    on_change
        Called with each new current version.
    poll_s
        Between two looks where no announcement comes.
    keep
        Compiled versions held in memory, the least lately used dropped first.
    before_first
        Awaited before the first version is taken, until it returns: what nobody may decide without. Where it raises
        ``Refused``, ``waits_for`` says why. Awaited again where Redis was emptied, or is another.
    refuses
        Says why a version may not be in force here, though it could be read; empty: it may.

    Examples
    --------
    ``async with CatalogFollower(store) as follower: follower.current.placements``
    """

    def __init__(
        self,
        store: CatalogStore,
        on_change: Listener | None = None,
        poll_s: float = 2.0,
        keep: int = 16,
        before_first: Callable[[], Awaitable[object]] | None = None,
        refuses: Callable[[Catalog], str] = _nothing,
    ) -> None:
        self.store = store
        self.on_change = on_change
        self.poll_s = poll_s
        self.keep = keep
        self.waits_for = ""
        """Why there is no first version yet, where ``before_first`` or ``refuses`` says so."""
        self._before_first = before_first
        self._is_prepared = before_first is None
        self._refuses = refuses
        self._current: CompiledCatalog | None = None
        self._newest_seen = 0
        self._compiled: OrderedDict[int, CompiledCatalog] = OrderedDict()
        self._changed = asyncio.Event()
        self._tasks = TaskSupervisor()
        self._refused = 0
        self._away = False
        self.listening = False
        """Whether announcements are heard now; else only the poll finds news."""

    @property
    def current(self) -> CompiledCatalog:
        """The newest version that compiles.

        Raises
        ------
        Unavailable
            Before the first was published.
        """
        if self._current is None:
            raise Unavailable("no catalog is published yet: 'nextbest publish' publishes one")
        return self._current

    @property
    def ready(self) -> bool:
        """Whether there is a current version."""
        return self._current is not None

    @property
    def refused(self) -> int:
        """The newest version, if it cannot be read or compiled here; else 0."""
        return self._refused

    async def run(self) -> None:
        """Follow until cancelled, through failures of Redis."""
        while True:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                if not self._away:
                    logger.warning("catalog_disconnected", extra={"reason": str(error)})
                self._away = True
            except Refused as refusal:
                if self.waits_for != str(refusal):
                    logger.error("catalog_waits", extra={"reason": str(refusal)})
                self.waits_for = str(refusal)
            finally:
                self.listening = False
            await pause(min(self.poll_s, 1.0))

    async def wait_ready(self, wait_s: float) -> bool:
        """Wait up to ``wait_s`` for the first version; whether there is one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not self.ready:
                    await self._next_change()
        return self.ready

    async def start(self, wait_s: float = 0.0) -> Self:
        """Begin to follow; wait up to ``wait_s`` for the first version."""
        with contextlib.suppress(RedisError, OSError):
            await self.refresh()
        self._tasks.keep("catalog-follower", self.run)
        await self.wait_ready(wait_s)
        return self

    async def stop(self) -> None:
        """End following; ``current`` stays."""
        await self._tasks.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def get(self, version: int, wait_s: float = LOST_AFTER_S) -> CompiledCatalog:
        """One version, compiled; a missing one is waited for.

        Raises
        ------
        Unavailable
            If it has not appeared, or Redis has not answered, for ``wait_s``.
        Refused
            If this process cannot read or compile it: a newer one wrote it, and this one must be updated.
        """
        compiled = self._compiled.get(version)
        if compiled is not None:
            self._compiled.move_to_end(version)
            return compiled
        problem, away = "was not published", False
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    try:
                        catalog = await self.store.published(version)
                    except (RedisError, OSError) as error:
                        problem, away = f"cannot be fetched ({error})", True
                    except Refused:
                        raise
                    except Exception as error:  # bytes that are no catalog may fail in any way
                        raise Refused(f"catalog version {version} cannot be read here ({error!r})") from error
                    else:
                        if catalog is not None:
                            return await self._compile(version, catalog)
                        problem, away = "was not published", False
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._next_change(), MISSING_POLL_S)
        except TimeoutError:
            remedy = f"; if it was lost, `nextbest publish FOLDER --as-version {version}` brings it back"
            raise Unavailable(
                f"catalog version {version} {problem} within {wait_s:g} s{'' if away else remedy}"
            ) from None

    async def refresh(self) -> None:
        """Look for a newer version now."""
        await self._prepare()
        newest = await self.store.latest_version()
        if newest == self._newest_seen:
            return
        if newest < self._newest_seen:
            # Another Redis, or an emptied one: its numbers mean other catalogs.
            logger.error("catalog_history_lost", extra={"newest": newest, "seen": self._newest_seen})
            self._compiled.clear()
            self._refused = 0
            self._is_prepared = self._before_first is None
            await self._prepare()
        # Only a process that has nothing yet looks further back than the newest.
        for version in range(newest, 0, -1):
            compiled = await self._try(version)
            if compiled is not None:
                self._take(compiled)
            if self._current is not None:
                break
        self._newest_seen = newest

    async def _prepare(self) -> None:
        if self._before_first is not None and not self._is_prepared:
            await self._before_first()
            self._is_prepared, self.waits_for = True, ""

    async def _try(self, version: int) -> CompiledCatalog | None:
        try:
            catalog = await self.store.published(version)
            if catalog is not None and (reason := self._refuses(catalog)):
                self.waits_for = reason
                raise Refused(reason)
            compiled = None if catalog is None else await self._compile(version, catalog)
        except Exception as error:  # bytes that are no catalog may fail in any way: they are refused, no more
            if isinstance(error, RedisError | OSError) and is_passing(error):
                raise
            kept = self._current.version if self._current else "none"
            reason = str(error) if isinstance(error, Refused) else repr(error)
            logger.error("catalog_refused", extra={"version": version, "kept": kept, "reason": reason})
            self._refused = max(self._refused, version)
            return None
        if version >= self._refused:
            self._refused = 0
        return compiled

    async def _compile(self, version: int, catalog: Catalog) -> CompiledCatalog:
        try:
            # Off the loop: a large catalog takes tens of milliseconds, and decisions have fifty.
            compiled = await asyncio.to_thread(compile_catalog, catalog, version)
        except InvalidCatalog as invalid:
            reasons = "; ".join(str(error) for error in invalid.errors)
            raise Refused(
                f"catalog version {version} does not compile here: update nextbest ({reasons})"
            ) from invalid
        except Exception as error:
            raise Refused(
                f"catalog version {version} does not compile here: update nextbest ({error!r})"
            ) from error
        self._compiled[version] = compiled
        while len(self._compiled) > self.keep:
            self._compiled.popitem(last=False)
        return compiled

    def _take(self, compiled: CompiledCatalog) -> None:
        self._current = compiled
        self.waits_for = ""
        logger.info("catalog_current", extra={"version": compiled.version})
        if self.on_change is not None:
            try:
                self.on_change(compiled)
            except Exception:  # whoever listens must not stop the others from following
                logger.exception("catalog_listener_failed", extra={"version": compiled.version})
        self._changed.set()
        self._changed = asyncio.Event()

    async def _next_change(self) -> None:
        await self._changed.wait()

    async def _follow(self) -> None:
        async with self.store.redis.pubsub() as announcements:
            await announcements.subscribe(self.store.channel)
            await announcements.get_message(timeout=self.poll_s)  # the confirmation: from here on we hear
            self.listening = True
            while True:
                stop_if_cancelled()
                await self.refresh()
                if self._away:
                    logger.warning("catalog_followed_again")
                self._away = False
                await announcements.get_message(ignore_subscribe_messages=True, timeout=self.poll_s)
