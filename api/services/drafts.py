"""Catalogs that were never published, ready to decide by: for previews.

Each is checked as ``nextbest check`` does, by a process of its own, one at a time; the last few are remembered.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec

from api.process.draft_check import CheckedDraft, DraftMistake
from api.process.outages import Spoken
from api.services.ports import Services
from personalization.catalog.catalog import PublishedCatalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.tier_thresholds import thresholds_kept
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.errors import NextbestError
from state.catalog_store import decode_catalog

MAX_KEPT = 4
"""Drafts that are remembered: one for each of a few who try something out at once; some megabytes each."""

TIMEOUT_S = 30.0
"""A check takes a few seconds, most of which is imports; a machine that is busy may need longer."""

MAX_WAITING = 2
"""Drafts that wait for the check of another; who comes behind them would wait for a minute and longer."""

Check: TypeAlias = Callable[[Mapping[str, bytes]], Awaitable[CheckedDraft]]
"""Checks the files of a catalog, by name."""


class MistakenDraft(NextbestError):
    """A draft has mistakes; ``mistakes`` are all of them, in the order of the files."""

    def __init__(self, mistakes: list[DraftMistake]) -> None:
        super().__init__(f"the draft has {len(mistakes)} mistakes")
        self.mistakes = mistakes


async def check_apart(files: Mapping[str, bytes]) -> CheckedDraft:
    """Check the files in a process of its own; raises ``Unavailable`` if it does not end in time, or dies."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "api.process.draft_check",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said, _ = await child.communicate(msgspec.msgpack.encode(dict(files)))
    except TimeoutError as error:
        raise Spoken(
            f"the draft could not be checked within {TIMEOUT_S:.0f} s: try again, or a part of it"
        ) from error
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        raise Spoken("the check of the draft ended early: `nextbest check` on the files says why")
    return msgspec.msgpack.decode(said, type=CheckedDraft)


class Drafts:
    """Makes drafts ready. One for a process."""

    def __init__(self, services: Services, check: Check = check_apart) -> None:
        self._services = services
        self._check = check
        self._one_at_a_time = asyncio.Lock()
        self._n_asked = 0
        self._kept: OrderedDict[bytes, PreparedCatalog] = OrderedDict()

    async def prepared(self, files: Mapping[str, str], now_ms: int) -> PreparedCatalog:
        """The catalog in ``files`` (text by name), ready to decide.

        Raises
        ------
        MistakenDraft
            With every mistake.
        Unavailable
            If it cannot be checked in time, or too many wait for that already.
        """
        in_force = self._services.catalog.current.catalog
        texts = {name: text.encode("utf-8", "replace") for name, text in sorted(files.items())}
        digest = hashlib.sha256(msgspec.msgpack.encode([in_force.version, texts])).digest()
        if digest not in self._kept:
            if self._n_asked > MAX_WAITING:
                raise Spoken(f"{self._n_asked} drafts are being checked already, one after the other")
            self._n_asked += 1
            try:
                async with self._one_at_a_time:
                    if digest not in self._kept:  # the one before may have been the same
                        self._kept[digest] = await self._made(texts, in_force, now_ms)
            finally:
                self._n_asked -= 1
        self._kept.move_to_end(digest)
        kept = self._kept[digest]
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept

    async def _made(self, texts: Mapping[str, bytes], in_force: CompiledCatalog, now_ms: int) -> PreparedCatalog:
        checked = await self._check(texts)
        if checked.catalog is None:
            raise MistakenDraft(checked.mistakes)
        compiled = await asyncio.to_thread(_compiled, checked.catalog, in_force, now_ms)
        return await self._services.catalog.prepared(compiled)


def _compiled(body: bytes, in_force: CompiledCatalog, now_ms: int) -> CompiledCatalog:
    """The draft as if it were published now: of a window that nobody looked at before nothing is known.

    Tiers by shares begin where those in force do, if they are of the same points.
    """
    catalog = decode_catalog(body)
    since = {series.key.hex(): series.declared_ms for series in in_force.series.values()}
    declared = {
        key.hex(): (since.get(key.hex(), now_ms), series.n_kept)
        for key, series in compile_catalog(catalog, 0).series.items()
    }
    thresholds = thresholds_kept(catalog, in_force.scores.computed)
    published = PublishedCatalog(
        **msgspec.structs.asdict(catalog),
        declared=declared,
        thresholds=thresholds,
        standings=in_force.standings,
    )
    return compile_catalog(published, 0)
