"""``nextbest top``: an installation, live in a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
import click
from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from background.cancelling import pause
from cli.running_file import read_running
from cli.top.keyboard import until_quit
from cli.top.screen import lines_of
from config.settings import Settings
from eventlog.redis_errors import in_words
from installation.redis_clients import background_client
from operations.watching.arms_board import ArmsBoard, PlacementBoard
from operations.watching.frame import History
from operations.watching.inner_port import Address, InnerPorts, address_of
from operations.watching.watcher import Watcher
from personalization.errors import InvalidInput, Refused
from personalization.projecting.sums import ReadSums
from state.catalog_store import CatalogStore
from state.keys import Keys
from state.projection_store import read_sums

EVERY_S = 1.0
ANSWER_S = 0.9
"""Who says nothing for so long is away: the next look is due."""

ARMS_EVERY_S = 5.0
ONCE_S = 3.0
"""Between the two looks of a single frame."""


@click.command("top", short_help="Watch an installation live: decisions, latency, freshness, lag, arms.")
@click.option("--inner", multiple=True, metavar="HOST:PORT", help="Where a process tells how it is; several times.")
@click.option("--once", is_flag=True, help="Print one frame, of three seconds, and end.")
def top(inner: tuple[str, ...], once: bool) -> None:
    """Show decisions, latency by tier, freshness, lag, and how the arms fare; q or Ctrl-C ends it.

    It reads what the processes tell at their inner ports, each second, and what the projector has added up. Where
    the output is no terminal it prints one frame.
    """
    settings = Settings.from_environment()
    try:
        addresses = {text: address_of(text) for text in inner}
    except InvalidInput as error:
        raise click.UsageError(str(error)) from error
    addresses = addresses or _beside(settings)
    if not addresses:
        raise Refused(
            "where the processes tell how they are is not known: name their inner ports with --inner host:port "
            "(NEXTBEST_METRICS_PORT), or start this beside `nextbest up` (--data-dir)"
        )
    console = Console(highlight=False)
    asyncio.run(
        _watch(settings, addresses, console, once=once or not console.is_terminal or console.is_dumb_terminal)
    )


def _beside(settings: Settings) -> dict[str, Address]:
    running = read_running(Path(settings.data_dir))
    if running is None or running.redis != settings.redis:
        return {}
    return {name: Address(*at) for name, at in running.inner.items()}


@dataclass(slots=True)
class _Arms:
    """The arms as they were read last."""

    board: ArmsBoard
    found: list[PlacementBoard] | None = None
    words: str = "not read yet"

    async def read(self) -> None:
        """Read them; what is wrong is shown instead of them."""
        try:
            self.found = await self.board.boards(int(time.time() * 1000))
        except (RedisError, OSError, TimeoutError) as error:
            self.found, self.words = None, in_words(error)

    async def run(self) -> None:
        """Read them again and again."""
        while True:
            await self.read()
            await pause(ARMS_EVERY_S)


@asynccontextmanager
async def _arms_of(settings: Settings) -> AsyncIterator[_Arms]:
    redis: Redis = background_client(settings.redis)
    keys = Keys(settings.namespace)

    async def read(names: Sequence[str]) -> list[ReadSums]:
        return await read_sums(redis, keys, names)

    catalogs = CatalogStore(redis, settings.namespace)

    async def placements() -> list[str]:
        latest = await catalogs.latest()
        return list(latest[1].placements) if latest is not None else []

    try:
        yield _Arms(ArmsBoard(read, placements))
    finally:
        with contextlib.suppress(RedisError, OSError):
            await redis.aclose()


async def _watch(settings: Settings, addresses: Mapping[str, Address], console: Console, *, once: bool) -> None:
    history = History()
    async with aiohttp.ClientSession() as session, _arms_of(settings) as arms:
        watcher = Watcher(InnerPorts(session, ANSWER_S), addresses)

        def shown(height: int | None) -> Group:
            lines = lines_of(
                history.frame(),
                arms.found,
                datetime.now(),
                settings.deadline_ms / 1000,
                console.width,
                height,
                arms.words,
            )
            return Group(*lines)

        async def look() -> None:
            look = await watcher.look()
            history.add(time.monotonic(), look)

        await look()
        if once:
            await asyncio.gather(arms.read(), pause(ONCE_S))
            await look()
            console.print(shown(None))
            return
        stop = asyncio.Event()
        reading = asyncio.create_task(arms.run())
        try:
            with until_quit(stop), Live(Text(), console=console, screen=True, auto_refresh=False) as live:
                while not stop.is_set():
                    live.update(shown(console.height), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(EVERY_S):
                            await stop.wait()
                            break
                    await look()
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
