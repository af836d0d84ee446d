"""``nextbest demo``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.live import Live as RichLive

from cli.demo import accounting, movielens
from cli.demo.replay import Replay
from cli.demo.report import INTRO, Live, Report
from cli.demo.shelves import PLACEMENT, SHELVES
from cli.demo.transport import ApiError, HttpTransport, Transport
from cli.first_steps import curl, curl_decide
from cli.up import UpOptions, resolve, run_until_stopped, running
from config.settings import Settings
from personalization.errors import Refused

DEMO_DIR = "demo"
SERVER_KEY = "sk_dev"
"""Of the demo's catalog."""

TELL_FIRST_S = 1.0
TELL_EVERY_S = 10.0

HURRY = {"NEXTBEST_PUBLISH_MS": "5"}
"""Months are replayed in minutes: at the default 200 ms, weights would be 60 ratings old, days of their time. At
5 ms they are one or two old, at half the work of publishing each."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the demo is told."""

    n_events: int
    dataset: Path | None
    as_json: bool
    url: str
    key: str
    up: UpOptions | None
    stay: bool


@click.command(short_help="Replay real people's film ratings through the API and watch it learn.")
@click.option(
    "--events", type=click.IntRange(1, 100_000), default=20_000, show_default=True, help="Ratings to play."
)
@click.option(
    "--dataset",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=None,
    help="MovieLens-100k as a file: the recbole 1.2.1 wheel, or GroupLens' ml-100k.zip.  [default: fetched]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object, last.")
@click.option("--url", default=None, help="The API to play against.  [default: http://127.0.0.1:8700]")
@click.option("--key", default=SERVER_KEY, show_default=True, help="Server key of that API.")
@click.option("--up", "start", is_flag=True, help="Start everything first, on the demo's catalog, and stay up.")
@click.option("--exit", "leave", is_flag=True, help="With --up: stop everything after the demo.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=None, help="With --up: port of the API.  [default: 8700]"
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="With --up: the demo keeps its data in the folder 'demo' below this.  [default: .nextbest]",
)
@click.option("--api-processes", type=click.IntRange(1, 64), default=None, help="With --up: API processes.")
def demo(
    events: int,
    dataset: Path | None,
    as_json: bool,
    url: str | None,
    key: str,
    start: bool,
    leave: bool,
    port: int | None,
    data_dir: Path | None,
    api_processes: int | None,
) -> None:
    """Replay MovieLens-100k, real people rating films, as a stream of decisions through the public HTTP API.

    Compares nextbest with showing the shelf that was most popular so far, and with chance, on the same
    decisions. Every run has visitors of its own; with --up the model starts from nothing, too.
    """
    if start and url:
        raise click.UsageError("--up starts an API of its own: leave out --url, or leave out --up")
    if not start and (leave or port or data_dir or api_processes):
        raise click.UsageError("--exit, --port, --data-dir and --api-processes belong to --up")
    settings = Settings.from_environment()
    up = resolve(settings, port, data_dir, None, api_processes, 1) if start else None
    options = DemoOptions(
        n_events=events,
        dataset=dataset,
        as_json=as_json,
        url=url or f"http://{settings.host}:{port or settings.port}",
        key=key,
        up=up,
        stay=start and not leave,
    )
    # With --json, stdout holds that object alone.
    run_until_stopped(_session(options, Console(stderr=as_json, highlight=False)))


async def _session(options: DemoOptions, console: Console) -> None:
    console.print(INTRO + "\n")
    loading = asyncio.create_task(asyncio.to_thread(movielens.load, options.dataset))
    async with _installation(options, console):
        data = await loading
        async with HttpTransport(options.url, options.key) as transport:
            n_learned = await _check_catalog(transport, options)
            if n_learned:
                console.print(f"This model has learned from {n_learned:,} outcomes before: not from nothing.\n")
            replay = Replay(data, transport, f"ml-{secrets.token_hex(3)}")
            report = Report(replay.scores, replay.measured)
            async with _shown(report, options.n_events, console):
                await replay.play(data.ratings[: options.n_events])
                accounts = await accounting.count(transport, replay.visitors())
            console.print(
                f"\n{replay.measured.n_events:,} events sent for {len(replay.visitors())} people: "
                f"{accounts.lost} lost, {accounts.duplicates} applied twice."
            )
            for note in report.notes():
                console.print(note)
        if options.stay:
            console.print(_what_next(options, next(iter(replay.visitors()))))
        if options.as_json:
            click.echo(orjson.dumps(report.as_json(accounts)).decode())
            sys.stdout.flush()
        if options.stay:
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _shown(report: Report, n_events: int, console: Console) -> AsyncIterator[None]:
    """The live table on a terminal; elsewhere a line now and then, and the table at the end."""
    if console.is_terminal:
        with RichLive(Live(report, n_events), console=console, refresh_per_second=4):
            yield
        return
    telling = asyncio.create_task(_tell(report, n_events, console))
    try:
        yield
        console.print(report.table())
    finally:
        telling.cancel()


async def _tell(report: Report, n_events: int, console: Console) -> None:
    pause_s = TELL_FIRST_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = TELL_EVERY_S
        scores = report.scores
        console.print(
            f"{report.measured.n_events:,} of {n_events:,} ratings sent; hit rate: nextbest {scores.nextbest:.3f}, "
            f"most popular {scores.most_popular:.3f}, uniform {scores.uniform:.3f}"
        )


@contextlib.asynccontextmanager
async def _installation(options: DemoOptions, console: Console) -> AsyncIterator[None]:
    if options.up is None:
        yield
        return
    from config.loader import demo_catalog

    home = options.up.data_dir / DEMO_DIR
    up = UpOptions(
        port=options.up.port,
        data_dir=home,
        catalog=demo_catalog(),
        api_processes=options.up.api_processes,
        workers=1,
    )
    show: Callable[[str], None] = lambda line: console.print(line, markup=False)  # noqa: E731
    more = {name: os.environ.get(name, value) for name, value in HURRY.items()}
    if os.environ.get("NEXTBEST_REDIS") or os.environ.get("NEXTBEST_KAFKA"):
        # Servers of somebody's own: beside whatever lives there.
        more["NEXTBEST_NAMESPACE"] = f"nextbest-demo-{secrets.token_hex(3)}"
    async with running(up, show, fresh=True, more_environment=more) as installation:
        console.print(f"Everything is up at {installation.url} (in {installation.started_in_s:.1f} s).\n")
        yield


async def _check_catalog(transport: Transport, options: DemoOptions) -> int:
    """The server must play the demo's catalog; gives how many outcomes its model has learned from already."""
    another = Refused(
        f"{options.url} plays another catalog; start one on the demo's with `nextbest demo --up --port 8701`"
    )
    ask = {"visitor": {"anonymousId": "demo"}, "placements": [PLACEMENT], "activate": False}
    try:
        answer = await transport.request("POST", "/v1/decide", ask)
        placement = await transport.request("GET", f"/v1/placements/{PLACEMENT}")
    except ApiError as error:
        if error.status in (401, 403):
            refused = f"{options.url} does not take the key {options.key!r}; give a server key with --key"
            raise Refused(refused) from error
        if error.status in (400, 404):
            raise another from error
        raise
    if answer["decisions"][0]["contentId"] not in SHELVES:
        raise another
    return int(placement.get("learned") or 0)


def _what_next(options: DemoOptions, visitor: str) -> str:
    return (
        f"\nStill up at {options.url}: ask what it would show one of them now, or read what it knows\n\n"
        + f"{curl_decide(options.url, PLACEMENT, options.key, {'userId': visitor})}\n"
        f"{curl(options.url, f'/v1/visitors/{visitor}', options.key)}\n"
        f"{curl(options.url, f'/v1/placements/{PLACEMENT}', options.key)}\n\n"
        "For the example shop: Ctrl-C, then `.venv/bin/nextbest up`."
    )
