"""``nextbest preview-link``: a token that lets a page see why its decisions are made."""

from __future__ import annotations

import asyncio
import time

import click

from config.settings import Settings
from installation.opened import open_catalogs
from installation.secrets_of import installed_secrets
from personalization.catalog.duration import read_duration_ms
from personalization.errors import InvalidInput, Refused
from personalization.explaining.number_words import moment
from personalization.explaining.preview_link import PURPOSE, PreviewLink, link_for, sign


@click.command(
    "preview-link", short_help="Make a preview link: a page that has it sees why its decisions are made."
)
@click.argument("placements", nargs=-1, required=True, metavar="PLACEMENT…")
@click.option("--valid", default="1d", show_default=True, metavar="TIME", help="For how long; 30d at most.")
def preview_link(placements: tuple[str, ...], valid: str) -> None:
    """Make a token by which decisions for the PLACEMENTs are explained to whoever has it.

    A page sends it as `preview` beside `explain: true`. It tells what is known of the visitor of that browser, and
    cannot be taken back before it ends: give it to those alone who may see that.
    """
    valid_ms = read_duration_ms(valid)
    if valid_ms is None:
        raise InvalidInput("valid", f"must be a length of time such as 1d or 2h, not {valid!r}")
    settings = Settings.from_environment()
    link = asyncio.run(_link(settings, placements, valid_ms))
    click.echo(sign(link, installed_secrets(settings).key(PURPOSE)))
    click.echo(f"Ends on {moment(link.ends_ms)}.", err=True)


async def _link(settings: Settings, placements: tuple[str, ...], valid_ms: int) -> PreviewLink:
    async with open_catalogs(settings.redis, settings.namespace) as store:
        latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published yet: `nextbest publish` publishes one")
    return link_for(placements, list(latest[1].placements), valid_ms, time.time_ns() // 1_000_000)
