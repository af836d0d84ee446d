"""``nextbest log``: what happened to one visitor, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

import click

from background.cancelling import pause
from cli.terminal import GivenId, json_line, printable
from config.settings import Settings
from installation.audit import recorded
from installation.opened import Installation, open_installation
from installation.records import records_of
from installation.secrets_of import installed_secrets
from installation.visitors import visitors_of
from operations.stories.moments import Moment
from operations.stories.visitor_timeline import timeline
from personalization.audit.record import VISITOR_PURPOSE, visitor_mark
from personalization.errors import Unavailable
from personalization.visitor.visitor_key import anonymous_key, user_key
from state.people import People

FOLLOW_S = 1.0
"""Between two looks at what is new."""

LATE_MS = 60_000
"""How much later than others a moment may be found: partitions are read one beside the other."""

MOST = 200
"""New moments of one person between two looks; of more, the first are left out."""

Kind = Literal["user", "anonymous"]


@click.command("log", short_help="What happened to one visitor, in order.")
@click.argument("visitor", type=GivenId())
@click.option("--kind", type=click.Choice(["user", "anonymous"]), default=None, help="Which kind of id it is.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1_000), help="The latest so many.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on, until stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line instead.")
def log(visitor: str, kind: Kind | None, limit: int, follow: bool, as_json: bool) -> None:
    """Show what happened to VISITOR, by any of their ids: events, decisions, what was shown, earned and learned.

    VISITOR is a user id or an anonymous one. What is a moment old is found once the projector has read it. That you
    looked is recorded in the audit. If nothing is found, the exit code is 1.
    """
    asyncio.run(_show(Settings.from_environment(), visitor, kind, limit, follow, as_json))


async def _show(
    settings: Settings, visitor: str, kind: Kind | None, limit: int, follow: bool, as_json: bool
) -> None:
    mark = visitor_mark(installed_secrets(settings).key(VISITOR_PURPOSE), visitor)
    async with open_installation(settings) as opened:
        look = _Look(opened, visitor, kind, max(limit, MOST) if follow else limit)
        async with recorded(settings, opened.redis, "log", mark, trail="reads"):
            moments = (await look.new())[-limit:]
        _print(moments, as_json)
        if not moments and not follow:
            shown = printable(visitor)
            click.echo(
                f"nextbest: nothing is found of {shown}: nobody has that id, or the log is past it", err=True
            )
            raise SystemExit(1)
        away = ""
        while follow:
            await pause(FOLLOW_S)
            try:
                _print(await look.new(), as_json)
                away = ""
            except Unavailable as error:  # a server that restarts: what happens meanwhile is found later
                if str(error) != away:
                    click.echo(f"nextbest: {printable(str(error))}; waiting", err=True)
                away = str(error)


class _Look:
    """Looks again and again, and finds what it has not found before."""

    def __init__(self, opened: Installation, visitor: str, kind: Kind | None, n_moments: int) -> None:
        self._opened = opened
        self._visitor = visitor
        self._kind = kind
        self._n_moments = n_moments
        self._seen: set[tuple[object, ...]] = set()
        self._closed: set[str] = set()
        self._since_ms: int | None = None

    async def new(self) -> list[Moment]:
        """What is new among the latest moments; raises ``Unavailable``."""
        keys = await _keys_of(self._opened, self._visitor, self._kind)
        latest = await timeline(records_of(self._opened), keys, self._n_moments, self._closed)
        since_ms = self._since_ms or 0
        found = [each for each in latest if each.identity not in self._seen and each.at_ms >= since_ms]
        self._seen |= {each.identity for each in latest}
        self._closed |= {each.decision_id for each in latest if each.kind == "outcome"}
        if self._since_ms is None:  # what is earlier was left out at the first look, and stays so
            self._since_ms = latest[-1].at_ms - LATE_MS if latest else 0
        return found


async def _keys_of(opened: Installation, visitor: str, kind: Kind | None) -> list[str]:
    """Every key of the person; the id's own if nothing is stored of them."""
    people = People(
        opened.redis, opened.keys, visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
    )
    keys: dict[str, None] = {}
    for key, of_kind in ((user_key(visitor), "user"), (anonymous_key(visitor), "anonymous")):
        if kind in (None, of_kind):
            keys |= dict.fromkeys(await people.states_of(key))
    return list(keys)


def _print(moments: Iterable[Moment], as_json: bool) -> None:
    for moment in moments:
        click.echo(json_line(moment) if as_json else line_of(moment))


def line_of(moment: Moment) -> str:
    """A moment as a line for people.

    >>> line_of(Moment(at_ms=0, kind="event", words="Product Viewed"))
    '1970-01-01 00:00:00.000  event     Product Viewed'
    """
    when = datetime.fromtimestamp(moment.at_ms / 1000, UTC)
    named = [
        f"{name} {value}"
        for name, value in (("request", moment.request_id), ("trace", moment.trace_id))
        if value and moment.kind == "decision"
    ]
    more = f"  ({', '.join(named)})" if named else ""
    text = f"{when:%Y-%m-%d %H:%M:%S}.{moment.at_ms % 1000:03d}  {moment.kind:<9} {moment.words}{more}"
    return printable(text)
