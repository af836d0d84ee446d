"""``nextbest keys``: new keys, those in force, and what a site's own servers prove their users with."""

from __future__ import annotations

import asyncio

import click
from rich.console import Console
from rich.table import Table

from api.access.proof import identity_secret, user_hash
from config.settings import Settings
from config.starters.credentials import HASHED, hashed, new_server_key, new_write_key
from installation.opened import open_catalogs
from installation.redis_clients import catalog_client
from installation.secrets_of import installed_secrets
from personalization.catalog.catalog import Catalog
from personalization.errors import InvalidInput, Refused
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.keys import Keys

SHOWN_CHARS = 12
"""Of a hash: enough to tell keys from each other."""


@click.group(short_help="Make keys, list those in force, print what proves users.")
def keys() -> None:
    """Keys of your sources: a catalog holds their hashes, so a key is shown once, when it is made.

    To rotate one, make another, write its hash beside the old one's, publish, and take the old one out once nothing
    uses it. To revoke one, take it out and publish: it is refused within a second.
    """


@keys.command("create")
@click.argument("role", type=click.Choice(["write", "server"]))
def create(role: str) -> None:
    """Make a key, and print what the catalog holds of it.

    A write key may stand in a page: it collects and decides. A server key also reads, and is for servers alone.
    """
    key = (new_write_key if role == "write" else new_server_key)()
    click.echo(str(key))
    click.echo(f"Shown once. Under your source, in {role}_keys, write: '{hashed(key)}'", err=True)


@keys.command("list")
def list_keys() -> None:
    """List the keys in force, by source: of each the beginning of its hash."""
    catalog = asyncio.run(_catalog(Settings.from_environment()))
    table = Table("source", "role", "key", "written", box=None, header_style="bold")
    for name, source in sorted(catalog.sources.items()):
        for role, written in (("write", source.write_keys), ("server", source.server_keys)):
            for key in written:
                of_key = key if key.startswith(HASHED) else hashed(key)
                how = "as a hash" if key == of_key else "in the clear: write its hash instead"
                table.add_row(name, role, of_key[: len(HASHED) + SHOWN_CHARS] + "…", how)
    Console().print(table)


@keys.command("identity")
@click.argument("source")
@click.argument("user_id", required=False)
def identity(source: str, user_id: str | None) -> None:
    """Print the identity secret of SOURCE; with USER_ID, what your server has to send as that user's userHash.

    Your server keeps it: userHash is the HMAC-SHA256, in hex, of the user id under it, and userToken a JSON Web
    Token (HS256, with sub and exp) signed with it. No page and no catalog may ever hold it.
    """
    settings = Settings.from_environment()
    secrets = installed_secrets(settings)
    catalog = asyncio.run(_catalog(settings, secrets))
    if source not in catalog.sources:
        known = ", ".join(sorted(catalog.sources)) or "none"
        raise InvalidInput("source", f"the catalog has no {source!r}; there are: {known}", "unknown_name")
    of_source = identity_secret(secrets, source)
    click.echo(of_source if user_id is None else user_hash(of_source, user_id))
    if not catalog.sources[source].verify_users:
        click.echo(f"Nobody asks for it yet: sources.{source} has no `verify_users: true`.", err=True)


async def _catalog(settings: Settings, secrets: Secrets | None = None) -> Catalog:
    """The catalog in force; where ``secrets`` are given, once it is seen that they are the installation's."""
    async with open_catalogs(settings.redis, settings.namespace) as store, catalog_client(settings.redis) as redis:
        if secrets is not None:
            await AssignmentStore(redis, Keys(settings.namespace), secrets).check()
        latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published here; run `nextbest publish`")
    return latest[1]
