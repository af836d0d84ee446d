"""``nextbest keys``: what a site's own servers are given to hold."""

from __future__ import annotations

import asyncio

import click

from api.access.proof import identity_secret, user_hash
from config.settings import Settings
from installation.opened import open_catalogs
from installation.redis_clients import catalog_client
from installation.secrets_of import installed_secrets
from personalization.catalog.catalog import Catalog
from personalization.errors import InvalidInput, Refused
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.keys import Keys


@click.group(short_help="Secrets that your own servers hold.")
def keys() -> None:
    """Print what your own servers need to prove who your users are."""


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


async def _catalog(settings: Settings, secrets: Secrets) -> Catalog:
    """The catalog in force, once it is seen that the secrets are those of the installation."""
    async with open_catalogs(settings.redis, settings.namespace) as store, catalog_client(settings.redis) as redis:
        await AssignmentStore(redis, Keys(settings.namespace), secrets).check()
        latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published here; run `nextbest publish`")
    return latest[1]
