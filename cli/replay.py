"""``nextbest replay --check``: are the stored states what the log says they must be?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import click
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.log_fold import CatalogOf, PartitionFold
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.port import EventLog
from eventlog.topics import VISITOR_LOG, Topics
from personalization.compiled import CompiledCatalog, compile_catalog
from personalization.errors import Refused, Unavailable
from personalization.fold import Visitor
from personalization.folder_state import encode_folder
from state.catalog_store import CatalogStore
from state.keys import Keys
from state.visitor_store import pack_visitor

ROUNDS = 20
ROUND_PAUSE_S = 0.25
"""While events come in, a state may be newer or older than the log read before it: look again, up to 5 s."""

TOGETHER = 500
MAX_NAMED = 20


@dataclass(slots=True)
class Checked:
    """What the comparison found; ``different`` and ``unknown`` name visitor keys."""

    n_entries: int = 0
    n_visitors: int = 0
    n_dead: int = 0
    different: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether log and states agree."""
        return not self.different and not self.unknown


@click.command(short_help="Fold the log anew and compare with the stored states.")
@click.option("--check", is_flag=True, required=True, help="Compare only: nothing is written.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def replay(check: bool, as_json: bool) -> None:
    """Fold the visitor log from its beginning, without any worker, and compare every state with the stored one.

    They must be equal byte for byte, whatever crashed in between. Exit code 1 where they are not.
    """
    checked = asyncio.run(_run(Settings.from_environment()))
    if as_json:
        result = {
            "entries": checked.n_entries,
            "visitors": checked.n_visitors,
            "dead": checked.n_dead,
            "different": checked.different,
            "unknown": checked.unknown,
        }
        click.echo(orjson.dumps(result).decode())
    else:
        click.echo(f"{checked.n_entries:,} entries folded into {checked.n_visitors:,} visitors.")
        _name("Different from what is stored", checked.different)
        _name("Stored, but not in the log", checked.unknown)
        if checked.exact:
            click.echo("Every stored state is what the log says.")
    if not checked.exact:
        raise SystemExit(1)


def _name(what: str, keys: Sequence[str]) -> None:
    if keys:
        more = f" and {len(keys) - MAX_NAMED} more" if len(keys) > MAX_NAMED else ""
        click.echo(f"{what}: {', '.join(keys[:MAX_NAMED])}{more}")


async def _run(settings: Settings) -> Checked:
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    log = open_log(url, topics)
    async with Redis.from_url(settings.redis) as redis:
        try:
            await log.start()
            store = CatalogStore(redis, settings.namespace)
            return await check_states(log, redis, Keys(settings.namespace), published(store))
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis at {settings.redis} does not answer: {error}") from error
        finally:
            await log.close()


def published(store: CatalogStore) -> CatalogOf:
    """Published catalogs by version, compiled once each."""
    compiled: dict[int, CompiledCatalog] = {}

    async def catalog_of(version: int) -> CompiledCatalog:
        if version not in compiled:
            catalog = await store.get(version)
            if catalog is None:
                raise Refused(f"the log names catalog version {version}, which is not published here")
            compiled[version] = compile_catalog(catalog, version)
        return compiled[version]

    return catalog_of


async def check_states(log: EventLog, redis: Redis, keys: Keys, catalog_of: CatalogOf) -> Checked:
    """Fold the whole log and compare every visitor; costs about 50 µs an entry, and the visitors in memory.

    Raises
    ------
    Refused
        Where the log no longer holds its beginning.
    """
    identity = await log.identity()
    earliest = await log.earliest_offsets(VISITOR_LOG)
    if any(earliest):
        raise Refused(
            f"the log no longer holds its beginning (oldest offsets {earliest}): states cannot be compared with it"
        )
    parts = [PartitionFold(number, identity.epoch) for number in range(identity.n_partitions)]
    checked = Checked()
    known: set[str] = set()
    for part in parts:
        checked.n_entries += await part.advance(log, catalog_of)
        for _ in range(ROUNDS):
            different = await _different(redis, keys, part.visitors)
            if not different:
                break
            await asyncio.sleep(ROUND_PAUSE_S)
            checked.n_entries += await part.advance(log, catalog_of)
        checked.different += sorted(different)
        checked.n_visitors += len(part.visitors)
        checked.n_dead += part.n_dead
        known |= part.visitors.keys()
        part.visitors.clear()
    async for name in redis.scan_iter(match=f"{keys.namespace}:visitor:*", count=1000):
        key = keys.visitor_key_of(name.decode())
        # Who came after their partition was read is new, not unknown.
        if key is not None and key not in known and not await _appended_since(log, parts, key):
            checked.unknown.append(key)
    return checked


async def _different(redis: Redis, keys: Keys, visitors: dict[str, Visitor]) -> list[str]:
    """Keys whose stored bytes are not those of the fold."""
    found = []
    names = list(visitors)
    for start in range(0, len(names), TOGETHER):
        some = names[start : start + TOGETHER]
        stored = await redis.mget([n for key in some for n in (keys.visitor(key), keys.folder(key))])
        for index, key in enumerate(some):
            visitor = visitors[key]
            expected = (pack_visitor(visitor.state), encode_folder(visitor.folder))
            if (stored[2 * index], stored[2 * index + 1]) != expected:
                found.append(key)
    return found


async def _appended_since(log: EventLog, parts: Sequence[PartitionFold], key: str) -> bool:
    for part in parts:
        async for entry in log.read(VISITOR_LOG, part.partition, part.next_offset):
            if entry.key == key:
                return True
    return False
