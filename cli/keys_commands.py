"""``nextbest keys``: new keys, those in force, others in their place, and what proves a site's users."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import get_args

import click
from rich.console import Console
from rich.table import Table

from api.access.proof import identity_secret, user_hash
from cli.live_catalog import who
from config.scalars import read_moment_ms
from config.setting_values import Secret
from config.settings import Settings
from config.starters.credentials import hashed, new_server_key, new_write_key
from installation.audit import recorded
from installation.opened import open_catalogs
from installation.redis_clients import catalog_client
from installation.secrets_of import installed_secrets
from operations.key_changes import (
    KeyChange,
    added,
    find_key,
    key_lines,
    moment,
    revoked,
    rotated,
    source_of,
)
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import read_duration_ms
from personalization.catalog.permissions import Permission, Role
from personalization.catalog.sections.sources import Key, Source
from personalization.catalog.source_keys import HeldKey, digest_of, keys_of, shown_digest
from personalization.errors import InvalidInput, Refused
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.catalog_store import CatalogStore
from state.keys import Keys

_TRIES = 5
"""Of a change while others publish."""

_SOURCE = click.option("--source", default=None, metavar="NAME", help="Whose key; needed where several fit.")
_NEVER = "never"


@click.group(short_help="Make, list, rotate and revoke keys; print what proves users.")
def keys() -> None:
    """Keys of your sources: a catalog holds their hashes, so a key is shown once, when it is made.

    `rotate` and `revoke` act on the catalog in force, at once and without its files, and print what to change in
    those.
    """


@keys.command("create")
@click.argument("role", type=click.Choice(get_args(Role)))
@click.option("--name", default=None, help="What people call it; makes a key that can be rotated and have an end.")
@click.option("--expires", default=None, metavar="WHEN", help="When it ends: 90d, or 2030-01-01.")
@click.option(
    "--permission",
    "permissions",
    multiple=True,
    type=click.Choice([str(each) for each in Permission]),
    help="Only this of what the role may do; may be given again.",
)
@click.option("--origin", "origins", multiple=True, help="Of a write key: a page's origin that may use it.")
@click.option("--publish", is_flag=True, help="Put it in force at once, in the catalog that is.")
@_SOURCE
def create(
    role: Role,
    name: str | None,
    expires: str | None,
    permissions: tuple[str, ...],
    origins: tuple[str, ...],
    publish: bool,
    source: str | None,
) -> None:
    """Make a key, and print what the catalog holds of it.

    A write key may stand in a page: it collects and decides. All others are for servers and people alone
    (docs/access.md says what each role may do).
    """
    key = _new_key(role)
    if name is None:
        if role not in ("write", "server") or expires or permissions or origins or publish:
            raise InvalidInput("name", "a key of this kind has one: give it by --name", "missing_field")
        click.echo(str(key))
        click.echo(f"Shown once. Under your source, in {role}_keys, write: '{hashed(key)}'", err=True)
        return
    spec = Key(
        sha256=digest_of(key),
        role=role,
        permissions=tuple(map(Permission, permissions)),
        expires=_moment_ms(expires, _now_ms()) or None,
        origins=origins,
    )
    _check_key(name, spec)
    if not publish:
        click.echo(str(key))
        _say("Shown once. Under your source in the catalog, write:", "keys", key_lines(name, spec))
        return
    settings = Settings.from_environment()

    def with_it(catalog: Catalog) -> KeyChange:
        found = source_of(catalog, source)
        return added(catalog, next(each for each, spec in catalog.sources.items() if spec is found), name, spec)

    version, change = asyncio.run(_change(settings, "keys_create", name, with_it))
    click.echo(str(key))
    _say(
        f"Shown once. Version {version} is in force, and has it. Write into your catalog, under", *_written(change)
    )


@keys.command("rotate")
@click.argument("key", metavar="NAME")
@click.option(
    "--overlap",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How long the key before holds; 0: not at all.",
)
@click.option("--expires", default=None, metavar="WHEN", help="When the new one ends: 90d, 2030-01-01, never.")
@click.option("--name", default="", help="For a key of a list, which has none.")
@_SOURCE
def rotate(key: str, overlap: str, expires: str | None, name: str, source: str | None) -> None:
    """Put a new key in the place of NAME, at once; the one before lives on for a while.

    NAME is the key's, or how its hash begins, as `nextbest keys list` shows it.
    """
    overlap_ms = 0 if overlap.strip() == "0" else read_duration_ms(overlap)
    if overlap_ms is None:
        raise InvalidInput("overlap", f"must be a length of time such as 7d or 12h, or 0, not {overlap!r}")
    now_ms = _now_ms()
    made: list[Secret] = []

    def in_its_place(catalog: Catalog) -> KeyChange:
        found = find_key(catalog, key, source)
        made[:] = made or [_new_key(found.held.role)]
        expires_ms = None if expires is None else _moment_ms(expires, now_ms)
        new = digest_of(made[0])
        return rotated(catalog, found, new, now_ms, overlap_ms, expires_ms=expires_ms, name=name)

    version, change = asyncio.run(_change(Settings.from_environment(), "keys_rotate", key, in_its_place))
    click.echo(str(made[0]))
    said = f"Shown once. Version {version} is in force: {change.what}. Write into your catalog, under"
    _say(said, *_written(change))
    click.echo(
        "Until its files say so, `nextbest publish` refuses them: they would take the new key away.", err=True
    )


@keys.command("revoke")
@click.argument("key", metavar="NAME")
@click.option("--before", is_flag=True, help="Only the key that NAME has replaced.")
@_SOURCE
def revoke(key: str, before: bool, source: str | None) -> None:
    """End the key NAME now, for good: no catalog that is published later brings it back.

    NAME is the key's, or how its hash begins, as `nextbest keys list` shows it.
    """
    now_ms = _now_ms()

    def without_it(catalog: Catalog) -> KeyChange:
        return revoked(catalog, find_key(catalog, key, source), now_ms, before=before)

    version, change = asyncio.run(_change(Settings.from_environment(), "keys_revoke", key, without_it))
    said = f"Version {version} is in force: {change.what}."
    if change.lines:
        _say(f"{said} Write into your catalog, under", *_written(change))
    else:
        click.echo(f"{said} Take {change.where} out of your catalog's files too.", err=True)


@keys.command("list")
def list_keys() -> None:
    """List the keys in force, by source: of each the beginning of its hash."""
    catalog = asyncio.run(_catalog(Settings.from_environment()))
    now_ms = _now_ms()
    table = Table("source", "name", "role", "key", "ends", "written", box=None, header_style="bold")
    for column in table.columns[:-1]:
        column.no_wrap, column.overflow = True, "fold"  # what is cut off names no key
    for name, source in sorted(catalog.sources.items()):
        for held in keys_of(name, source):
            called = f"{held.name} (before)" if held.is_before else held.name
            how = "in the clear" if held.is_plain else "as a hash"
            table.add_row(name, called, held.role, shown_digest(held.digest), _ends(held, now_ms), how)
    Console().print(table)


@keys.command("show")
@click.argument("key", metavar="NAME")
@_SOURCE
def show(key: str, source: str | None) -> None:
    """Print what a catalog's files have to say of NAME, as it is in force."""
    catalog = asyncio.run(_catalog(Settings.from_environment()))
    found = find_key(catalog, key, source)
    spec = catalog.sources[found.source].keys.get(found.held.name)
    if spec is None:
        raise InvalidInput("key", f"stands in a list, at {found.held.path}")
    click.echo(_entry(f"sources.{found.source}.keys", key_lines(found.held.name, spec)))


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
    source_of(catalog, source)
    of_source = identity_secret(secrets, source)
    click.echo(of_source if user_id is None else user_hash(of_source, user_id))
    if not catalog.sources[source].verify_users:
        click.echo(f"Nobody asks for it yet: sources.{source} has no `verify_users: true`.", err=True)


async def _change(
    settings: Settings, act: str, named: str, change: Callable[[Catalog], KeyChange]
) -> tuple[int, KeyChange]:
    """Change the catalog in force, whoever else publishes meanwhile; gives the version that has it.

    Parameters
    ----------
    act, named
        What the audit calls it, and the key.
    """
    async with (
        open_catalogs(settings.redis, settings.namespace) as store,
        recorded(settings, store.redis, act, f"key:{named}"),
    ):
        changed: KeyChange | None = None
        for _ in range(_TRIES):
            version, catalog = await _latest(store)
            if changed is not None and changed.catalog == catalog:
                return version, changed  # it was taken, and the connection broke before that was heard
            changed = change(catalog)
            compile_catalog(changed.catalog, version)  # what cannot be read by every process is not published
            published = await store.change_keys(version, changed.catalog, changed.ended, who(), changed.what)
            if published is not None:
                return published, changed
    raise Refused("others publish catalogs all the time; nothing was changed, try again")


async def _catalog(settings: Settings, secrets: Secrets | None = None) -> Catalog:
    """The catalog in force; where ``secrets`` are given, once it is seen that they are the installation's."""
    async with open_catalogs(settings.redis, settings.namespace) as store, catalog_client(settings.redis) as redis:
        if secrets is not None:
            await AssignmentStore(redis, Keys(settings.namespace), secrets).check()
        return (await _latest(store))[1]


async def _latest(store: CatalogStore) -> tuple[int, Catalog]:
    latest = await store.latest()
    if latest is None:
        raise Refused("no catalog is published here; run `nextbest publish`")
    return latest


def _new_key(role: Role) -> Secret:
    return (new_write_key if role == "write" else new_server_key)()


def _check_key(name: str, spec: Key) -> None:
    """Raise every mistake of a key that is to be written."""
    compile_catalog(Catalog(placements={}, content={}, sources={"SOURCE": Source(keys={name: spec})}), 0)


def _moment_ms(text: str | None, now_ms: int) -> int:
    """When something ends; 0: never."""
    if text is None or text.strip() == _NEVER:
        return 0
    length_ms = read_duration_ms(text)
    found = read_moment_ms(text) if length_ms is None else now_ms + length_ms
    if found is None or found <= now_ms:
        message = f"must be a length of time such as 90d, or a date to come such as 2030-01-01, not {text!r}"
        raise InvalidInput("expires", message)
    return found // 1000 * 1000


def _ends(held: HeldKey, now_ms: int) -> str:
    if not held.expires_ms:
        return ""
    return f"ended {moment(held.expires_ms)}" if held.expires_ms <= now_ms else moment(held.expires_ms)


def _written(change: KeyChange) -> tuple[str, tuple[str, ...]]:
    return change.where, change.lines


def _say(what: str, where: str, lines: tuple[str, ...]) -> None:
    click.echo(f"{what}\n{_entry(where, lines)}", err=True)


def _entry(where: str, lines: tuple[str, ...]) -> str:
    return "\n".join([f"  {where}:", *(f"    {line}" for line in lines)])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
