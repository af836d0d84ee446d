"""``nextbest epoch``: which log the states belong to, and opening the next one on purpose.

A new epoch is needed to grow the number of partitions, or after a log was lost: states stay, offsets start anew.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import click
from redis.asyncio import Redis

from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions
from eventlog.partition import check_partition_count
from eventlog.port import LogIdentity
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import OUTCOMES, VISITOR_LOG
from installation.audit import recorded
from installation.opened import open_installation
from personalization.errors import NextbestError, Refused, Unavailable
from state.checkpoint_store import CheckpointStore
from state.log_identity import LogIdentityStore


@click.group(short_help="Which log the states belong to; open the next one.")
def epoch() -> None:
    """Show the log's epoch, or open the next one."""


@epoch.command("show")
def show() -> None:
    """Print the log that is there and the one the states were folded from."""
    asyncio.run(_show(Settings.from_environment()))


@epoch.command("open")
@click.option(
    "--partitions", type=int, default=0, help="Partitions of the new epoch, a power of two; 0: as before."
)
@click.option(
    "--lossy", is_flag=True, help="Also when entries of the old log were never folded or learned: they are lost."
)
def open_next(partitions: int, lossy: bool) -> None:
    """Open the next epoch. Stop the workers first, and start them again afterwards.

    From then on the old log takes nothing more, whoever appends. API processes that are still running answer 503
    for a moment, and go on in the new log.
    """
    asyncio.run(_open(Settings.from_environment(), partitions, lossy=lossy))


async def _show(settings: Settings) -> None:
    async with _parts(settings) as parts:
        known = await parts.identities.known()
        click.echo(f"states  {_words(known)}")
        try:
            click.echo(f"log     {_words(await parts.log.identity())}")
        except Unavailable as error:
            click.echo(f"log     {error}")


async def _open(settings: Settings, partitions: int, *, lossy: bool) -> None:
    async with _parts(settings) as parts:
        known = await parts.identities.known()
        try:
            actual = await parts.log.identity()
        except Unavailable:
            actual = None
        if actual is not None and actual == known and not lossy:
            await _close_drained(parts, actual)
        n_partitions = partitions or (known.n_partitions if known else default_partitions(parts.log))
        after = known.epoch if known else 0
        async with recorded(settings, parts.redis, "epoch_open", f"epoch:{after + 1}"):
            opened = await parts.log.open_epoch(check_partition_count(n_partitions), after=after)
            await parts.identities.replace(opened)
        click.echo(f"opened  {_words(opened)}")
        click.echo("States stay; start the workers again, and save a base (`nextbest replay --save-base FILE`):")
        click.echo("the new log does not hold what the states were folded from.")


@dataclass(frozen=True, slots=True)
class _Parts:
    log: RedisStreamsLog | KafkaLog
    identities: LogIdentityStore
    checkpoints: CheckpointStore
    redis: Redis


async def _close_drained(parts: _Parts, identity: LogIdentity) -> None:
    """Close the epoch in force and see that nothing came in unread meanwhile: if so, open it again and refuse."""
    await _demand_drained(parts, identity)
    await parts.log.close_epoch()
    try:
        await _demand_drained(parts, identity)
    except BaseException:
        with contextlib.suppress(NextbestError):
            await parts.log.reopen_epoch()
        raise


async def _demand_drained(parts: _Parts, identity: LogIdentity) -> None:
    """Refuse to leave entries behind that nobody has read, or that a model has not learned.

    What the folder has committed is folded. What the learner has committed may wait for a model that was put aside:
    how far it is, its checkpoints say.
    """
    folded = await parts.log.committed_offsets("folder", VISITOR_LOG)
    _demand_read("folder", VISITOR_LOG, await parts.log.end_offsets(VISITOR_LOG), [n or 0 for n in folded])
    ends = await parts.log.end_offsets(OUTCOMES)
    headers = await parts.checkpoints.headers(len(ends), identity.epoch)
    learned = [headers[n].position + 1 if n in headers else 0 for n in range(len(ends))]
    _demand_read("learner", OUTCOMES, ends, learned)
    waiting = {key: n for header in headers.values() for key, n in header.waiting().items()}
    if waiting:
        named = ", ".join(f"{key} ({n})" for key, n in sorted(waiting.items()))
        raise Refused(
            f"outcomes wait for models that are behind: {named}: let the learner run until its /readyz warns of "
            "none of them, then stop it; or give --lossy to lose them"
        )


def _demand_read(group: str, topic: str, ends: Sequence[int], read: Sequence[int]) -> None:
    left = sum(max(0, end - offset) for end, offset in zip(ends, read, strict=True))
    if left:
        raise Refused(
            f"{left} entries of {topic} are not read by the {group} yet: stop the producers, let the {group} "
            "finish (its lag is on /metrics), then stop it; or give --lossy to lose them"
        )


@contextlib.asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[_Parts]:
    async with open_installation(settings, reads_data=False) as opened:
        identities, checkpoints = (
            LogIdentityStore(opened.redis, opened.keys),
            CheckpointStore(opened.redis, opened.keys),
        )
        yield _Parts(opened.log, identities, checkpoints, opened.redis)


def _words(identity: LogIdentity | None) -> str:
    if identity is None:
        return "none yet"
    return f"epoch {identity.epoch}, {identity.n_partitions} partitions, log {identity.log_id}"
