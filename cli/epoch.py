"""``nextbest epoch``: which log the states belong to, and opening the next one on purpose.

A new epoch is needed to grow the number of partitions, or after a log was lost: states stay, offsets start anew.
"""

from __future__ import annotations

import asyncio
import contextlib

import click

from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions, open_log
from eventlog.partition import check_partition_count
from eventlog.port import EventLog, LogIdentity
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import OUTCOMES, VISITOR_LOG, Topics
from personalization.errors import NextbestError, Refused, Unavailable
from state.keys import Keys
from state.log_identity import LogIdentityStore
from state.worker_client import worker_client

READERS = (("folder", VISITOR_LOG), ("learner", OUTCOMES))
"""Who has to have read what before a log may be left behind."""


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
@click.option("--lossy", is_flag=True, help="Also when entries of the old log were never folded: they are lost.")
def open_next(partitions: int, lossy: bool) -> None:
    """Open the next epoch. Stop the workers first, and start them again afterwards.

    From then on the old log takes nothing more, whoever appends. API processes that are still running answer 503
    for a moment, and go on in the new log.
    """
    asyncio.run(_open(Settings.from_environment(), partitions, lossy=lossy))


async def _show(settings: Settings) -> None:
    log, store = _parts(settings)
    try:
        await log.start()
        known = await store.known()
        click.echo(f"states  {_words(known)}")
        try:
            click.echo(f"log     {_words(await log.identity())}")
        except Unavailable as error:
            click.echo(f"log     {error}")
    finally:
        await _close(log, store)


async def _open(settings: Settings, partitions: int, *, lossy: bool) -> None:
    log, store = _parts(settings)
    try:
        await log.start()
        known = await store.known()
        try:
            actual = await log.identity()
        except Unavailable:
            actual = None
        if actual is not None and actual == known and not lossy:
            await _close_drained(log)
        n_partitions = partitions or (known.n_partitions if known else default_partitions(log))
        opened = await log.open_epoch(check_partition_count(n_partitions), after=known.epoch if known else 0)
        await store.replace(opened)
        click.echo(f"opened  {_words(opened)}")
        click.echo("States stay; start the workers again, and save a base (`nextbest replay --save-base FILE`):")
        click.echo("the new log does not hold what the states were folded from.")
    finally:
        await _close(log, store)


async def _close_drained(log: EventLog) -> None:
    """Close the epoch in force and see that nothing came in unread meanwhile: if so, open it again and refuse."""
    await _demand_drained(log)
    await log.close_epoch()
    try:
        await _demand_drained(log)
    except BaseException:
        with contextlib.suppress(NextbestError):
            await log.reopen_epoch()
        raise


async def _demand_drained(log: EventLog) -> None:
    """Refuse to leave entries behind that nobody has read."""
    for group, topic in READERS:
        ends = await log.end_offsets(topic)
        committed = await log.committed_offsets(group, topic)
        left = sum(max(0, end - (offset or 0)) for end, offset in zip(ends, committed, strict=True))
        if left:
            raise Refused(
                f"{left} entries of {topic} are not read by the {group} yet: stop the producers, let the {group} "
                "finish (its lag is on /metrics), then stop it; or give --lossy to lose them"
            )


def _parts(settings: Settings) -> tuple[RedisStreamsLog | KafkaLog, LogIdentityStore]:
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    log = open_log(url, topics)
    return log, LogIdentityStore(worker_client(settings.redis), Keys(settings.namespace))


async def _close(log: EventLog, store: LogIdentityStore) -> None:
    await log.close()
    await store.close()


def _words(identity: LogIdentity | None) -> str:
    if identity is None:
        return "none yet"
    return f"epoch {identity.epoch}, {identity.n_partitions} partitions, log {identity.log_id}"
