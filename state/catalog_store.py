"""Published catalog versions in Redis: numbered, kept, and announced.

Keys (one hash slot): ``{namespace}:{catalog}:version`` the newest number, ``…:versions`` number → who, when,
what changed and the digest of the content, ``…:bodies`` digest → content, ``…:ended-keys`` SHA-256 of a key → from
when on it is refused, channel ``…:changed``. Versions are never removed: an entry of the log is folded by exactly
the version stamped on it, however old.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from personalization.catalog.catalog import Catalog, PublishedCatalog
from personalization.catalog.compiled_windows import series_of
from personalization.catalog.sections.challengers import Standing
from personalization.catalog.tier_thresholds import TierThresholds, thresholds_kept
from personalization.errors import InvalidInput, Refused
from state import catalog_scripts as scripts
from state.catalog_diff import catalog_diff

_NO_THRESHOLDS: Mapping[str, TierThresholds] = {}

IN_FORCE_WITHIN_MS = 5_000
"""By then every process stamps what comes with the new version, or cannot reach Redis."""


class PublishedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history.

    Attributes
    ----------
    version
        Counts from 1.
    digest
        SHA-256 of the content: equal contents have equal digests.
    changes
        Against the version before.
    rollback_of
        The version published again, where this is one.
    declared
        Since when each series of events that windows look at is kept, and how much of it (``PublishedCatalog``).
    thresholds
        By score with tiers for shares of visitors, where these begin.
    standings
        What became of challengers, by placement.
    computed
        Whether it is the version before with other thresholds, which nobody wrote.
    """

    version: int = 0
    digest: str
    at_ms: int
    who: str
    changes: list[str] = []
    rollback_of: int | None = None
    declared: dict[str, tuple[int, int]] = {}
    thresholds: dict[str, TierThresholds] = {}
    computed: bool = False
    standings: dict[str, Standing] = {}


NOT_KNOWN = PublishedVersion(digest="", at_ms=0, who="")
"""A version of which nothing can be read."""


class CatalogStore:
    """Catalog versions in one Redis.

    Parameters
    ----------
    redis
        Answers in bytes (``decode_responses`` off).
    namespace
        The settings' prefix of every key.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        self.redis = redis
        # The braces are a hash tag: all keys of the script live in one slot of a cluster.
        prefix = f"{namespace}:{{catalog}}"
        self._version, self._versions, self._bodies = (
            f"{prefix}:version",
            f"{prefix}:versions",
            f"{prefix}:bodies",
        )
        self._ended = f"{prefix}:ended-keys"
        self.channel = f"{prefix}:changed"
        self._publish = redis.register_script(scripts.PUBLISH)
        self._restore = redis.register_script(scripts.RESTORE)
        self._publish_again = redis.register_script(scripts.PUBLISH_AGAIN)
        self._change_keys = redis.register_script(scripts.CHANGE_KEYS)

    async def publish(self, catalog: Catalog, who: str = "") -> int:
        """Make ``catalog`` the newest version; one that already is keeps its number.

        The caller has checked it (``config.loader``): here it is only kept.
        """
        return await self._run(catalog, who, None)

    async def rollback(self, to: int, who: str = "") -> int:
        """Publish version ``to`` again, as a new version.

        Raises
        ------
        InvalidInput
            If there is no such version.
        """
        old = await self._read(to)
        if old is None:
            raise InvalidInput(
                "version", f"there is no version {to}; 'nextbest history' lists them", "unknown_name"
            )
        entry, catalog = old
        return await self._run(catalog, who, to, entry.thresholds)

    async def restore(self, version: int, catalog: Catalog, who: str = "") -> None:
        """Give version number ``version``, which was lost with its Redis, its content again.

        Above the newest it becomes the newest; below, what is in force stays.

        Raises
        ------
        Refused
            If there is such a version: what was folded by it must stay what it is.
        """
        digest, body = encode_catalog(catalog)
        changes = [f"version {version} brought back"]
        at_ms = time.time_ns() // 1_000_000
        declared = _declared(
            catalog, at_ms, NOT_KNOWN
        )  # what was kept under the number that was lost, nobody knows
        entry = PublishedVersion(digest=digest, at_ms=at_ms, who=who, changes=changes, declared=declared)
        restored = await self._restore(
            keys=[self._version, self._versions, self._bodies],
            args=[digest, body, msgspec.json.encode(entry), self.channel, version],
        )
        if not int(restored):
            raise Refused(f"there is a version {version}, and what was folded by it must stay what it is")

    async def reach_back(self, version: int, since_ms: Mapping[str, int], who: str = "") -> int | None:
        """Publish ``version`` anew, with series that reach further back: their past is known now.

        Versions that but moved thresholds may have followed on it: they are kept.

        Parameters
        ----------
        since_ms
            By the series' id in hex.

        Returns
        -------
        The new version; None if somebody published another meanwhile: then nothing is changed.
        """
        newest = await self.latest_version()
        found = await self._read(newest) if newest >= version else None
        if found is None or not all(entry.computed for entry in await self.history(newest - version)):
            return None
        before, _ = found
        declared = dict(before.declared)
        for series, reached_ms in since_ms.items():
            declared_ms, n_kept = declared[series]
            declared[series] = (min(declared_ms, reached_ms), n_kept)
        what = f"version {version}, whose windows reach back further"
        entry = msgspec.structs.replace(before, declared=declared, computed=False)
        return await self._again(newest, entry, who, what)

    async def set_thresholds(
        self, version: int, thresholds: Mapping[str, TierThresholds], who: str, changes: Sequence[str]
    ) -> int | None:
        """Publish ``version``, the newest, anew, with other thresholds of tiers.

        Parameters
        ----------
        thresholds
            By score. Those of scores that are not named stay.
        changes
            The lines of the history.

        Returns
        -------
        The new version; None if ``version`` is not the newest any more: then nothing is changed.
        """
        before = await self._entry(version)
        if before is None:
            return None
        entry = msgspec.structs.replace(before, thresholds={**before.thresholds, **thresholds}, computed=True)
        return await self._again(version, entry, who, *changes)

    async def put_standing(
        self, version: int, placement: str, standing: Standing, who: str, what: str
    ) -> int | None:
        """Publish ``version``, the newest, anew with another standing of a placement's challenger.

        Parameters
        ----------
        what
            The line of the history.

        Returns
        -------
        The new version; None if ``version`` is not the newest any more: then nothing is changed.
        """
        before = await self._entry(version)
        if before is None:
            return None
        standings = {**before.standings, placement: standing}
        entry = msgspec.structs.replace(before, standings=standings, computed=False)
        return await self._again(version, entry, who, what)

    async def _entry(self, version: int) -> PublishedVersion | None:
        found = await self._read(version)
        return None if found is None else found[0]

    async def _again(self, version: int, entry: PublishedVersion, who: str, *changes: str) -> int | None:
        at_ms = time.time_ns() // 1_000_000
        entry = msgspec.structs.replace(
            entry, version=0, at_ms=at_ms, who=who, changes=list(changes), rollback_of=None
        )
        published = await self._publish_again(
            keys=[self._version, self._versions], args=[version, msgspec.json.encode(entry), self.channel]
        )
        return int(published) or None

    async def change_keys(
        self, version: int, catalog: Catalog, ended: Mapping[str, int], who: str, what: str
    ) -> int | None:
        """Publish ``version``, the newest, anew with other keys, and end some for good.

        Parameters
        ----------
        catalog
            That of ``version``, but for the keys of its sources.
        ended
            By SHA-256 in hex, from when on keys are refused, in milliseconds since 1970.
        what
            The line of the history.

        Returns
        -------
        The new version; None if ``version`` is not the newest any more: then nothing is changed.
        """
        digest, body = encode_catalog(catalog)
        at_ms = time.time_ns() // 1_000_000
        before = await self._newest()
        entry = PublishedVersion(
            digest=digest,
            at_ms=at_ms,
            who=who,
            changes=[what],
            declared=_declared(catalog, at_ms, before),
            thresholds=thresholds_kept(decode_catalog(body), _known(before).thresholds),
            standings=_known(before).standings,
        )
        published = await self._change_keys(
            keys=[self._version, self._versions, self._bodies, self._ended],
            args=[
                *(version, digest, body, msgspec.json.encode(entry), self.channel),
                *(part for pair in ended.items() for part in pair),
            ],
        )
        return int(published) or None

    async def ended_keys(self) -> dict[str, int]:
        """Keys that were revoked or rotated, by their SHA-256 in hex, and from when on they are refused."""
        found: Any = await cast("Any", self.redis.hgetall(self._ended))
        return {digest.decode(): int(ends_ms) for digest, ends_ms in found.items()}

    async def _run(
        self,
        catalog: Catalog,
        who: str,
        rollback_of: int | None,
        thresholds: Mapping[str, TierThresholds] = _NO_THRESHOLDS,
    ) -> int:
        """Publish; ``thresholds`` are those to go by where the newest version has none of such points."""
        before = await self._newest()
        digest, body = encode_catalog(catalog)
        at_ms = time.time_ns() // 1_000_000
        entry = PublishedVersion(
            digest=digest,
            at_ms=at_ms,
            who=who,
            changes=await self._changes(catalog),
            rollback_of=rollback_of,
            declared=_declared(catalog, at_ms, before),
            thresholds=thresholds_kept(decode_catalog(body), _known(before).thresholds, thresholds),
            standings=_known(before).standings,
        )
        version = await self._publish(
            keys=[self._version, self._versions, self._bodies],
            args=[entry.digest, body, msgspec.json.encode(entry), self.channel],
        )
        return int(version)

    async def _newest(self) -> PublishedVersion | None:
        """The newest line of the history; None: there is none yet."""
        try:
            newest = await self.history(1)
        except msgspec.MsgspecError:  # by a newer nextbest, or damaged: what was kept so far is not known
            return NOT_KNOWN
        return newest[0] if newest else None

    async def _changes(self, catalog: Catalog) -> list[str]:
        try:
            newest = await self.latest()
        except Refused:
            return ["the version before was written by a newer nextbest"]
        return catalog_diff(None if newest is None else newest[1], catalog)

    async def latest_version(self) -> int:
        """Number of the newest version, 0 where none was published."""
        return int(await self.redis.get(self._version) or 0)

    async def latest(self) -> tuple[int, Catalog] | None:
        """The newest version and its number."""
        version = await self.latest_version()
        catalog = await self.get(version) if version else None
        return None if catalog is None else (version, catalog)

    async def get(self, version: int) -> Catalog | None:
        """One version as it was written, None if it was not published.

        Raises
        ------
        Refused
            If a newer nextbest wrote it, in words this one does not know.
        """
        found = await self._read(version)
        return None if found is None else found[1]

    async def published(self, version: int) -> PublishedCatalog | None:
        """One version as it is folded and decided by; see ``get``."""
        found = await self._read(version)
        if found is None:
            return None
        entry, catalog = found
        ended = await self.ended_keys()
        return PublishedCatalog(
            **msgspec.structs.asdict(catalog),
            declared=entry.declared,
            ended=ended,
            thresholds=entry.thresholds,
            standings=entry.standings,
        )

    async def _read(self, version: int) -> tuple[PublishedVersion, Catalog] | None:
        stored: Any = await self.redis.hget(self._versions, str(version))
        if stored is None:
            return None
        try:
            entry = msgspec.json.decode(stored, type=PublishedVersion)
            body: Any = await self.redis.hget(self._bodies, entry.digest)
            return None if body is None else (entry, decode_catalog(body))
        except (msgspec.MsgspecError, zlib.error) as error:
            raise Refused(f"catalog version {version} cannot be read ({error}): update nextbest here") from error

    async def history(self, limit: int = 50) -> list[PublishedVersion]:
        """The newest versions, newest first."""
        newest = await self.latest_version()
        numbers = range(newest, max(0, newest - limit), -1)
        if not numbers:
            return []
        found: Any = await self.redis.hmget(self._versions, [str(n) for n in numbers])
        return [
            msgspec.structs.replace(msgspec.json.decode(entry, type=PublishedVersion), version=number)
            for number, entry in zip(numbers, found, strict=True)
            if entry is not None
        ]


def _known(before: PublishedVersion | None) -> PublishedVersion:
    return NOT_KNOWN if before is None else before


def _declared(catalog: Catalog, at_ms: int, before: PublishedVersion | None) -> dict[str, tuple[int, int]]:
    """What was looked at before, as far back as now, is kept since then; the rest from the moment all have it."""
    from_now_ms = at_ms if before is None else at_ms + IN_FORCE_WITHIN_MS
    found = {}
    for series, n_kept in sorted(series_of(catalog).items()):
        since_ms, n_before = _known(before).declared.get(series.id.hex(), (0, 0))
        found[series.id.hex()] = (since_ms if n_before >= n_kept else from_now_ms, n_kept)
    return found


def encode_catalog(catalog: Catalog) -> tuple[str, bytes]:
    """The digest of a catalog's content, whatever the order of its names, and the catalog as stored.

    Defaults are written out: what an old version means does not change with the defaults of a later release.
    """
    explicit = {name: _explicit(getattr(catalog, name)) for name in Catalog.__struct_fields__}
    digest = hashlib.sha256(msgspec.json.encode(explicit, order="deterministic")).hexdigest()
    return digest, zlib.compress(msgspec.json.encode(explicit))


def decode_catalog(body: bytes) -> Catalog:
    """The catalog back."""
    return msgspec.json.decode(zlib.decompress(body), type=Catalog)


def _explicit(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _explicit(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: _explicit(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_explicit(item) for item in value]
    return value
