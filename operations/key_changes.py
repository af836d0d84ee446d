"""What becomes of a catalog when a key is made, rotated or revoked: pure, and whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import structs

from personalization.catalog.catalog import Catalog
from personalization.catalog.sections.sources import Key, KeyBefore, Source
from personalization.catalog.source_keys import HASHED, HeldKey, keys_of
from personalization.errors import InvalidInput

MIN_HASH_CHARS = 8
"""Of a hash as a name for a key: as many hex digits tell a billion keys apart."""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key of the catalog, and whose it is."""

    source: str
    held: HeldKey


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Other keys in a catalog.

    Attributes
    ----------
    what
        Happened, for the history.
    lines
        What to write into the catalog's files, under ``where``; empty: something is to be taken out there.
    ended
        By SHA-256 in hex, from when on keys are refused, in milliseconds since 1970.
    """

    catalog: Catalog
    what: str
    where: str
    lines: tuple[str, ...] = ()
    ended: Mapping[str, int] = field(default_factory=dict)


def find_key(catalog: Catalog, named: str, source: str | None = None) -> FoundKey:
    """The key called ``named``, or whose hash begins so (``sha256:2c26b46b``).

    Raises
    ------
    InvalidInput
        If there is none, or several.
    """
    begins = named.removeprefix(HASHED).removesuffix("…").lower() if named.startswith(HASHED) else None
    if begins is not None and len(begins) < MIN_HASH_CHARS:
        raise InvalidInput("key", f"give {MIN_HASH_CHARS} or more digits of the hash", "invalid_field")
    found = []
    for name in catalog.sources if source is None else (source,):
        for held in keys_of(name, source_of(catalog, name)):
            is_meant = (
                held.name == named and not held.is_before if begins is None else held.digest.startswith(begins)
            )
            if is_meant:
                found.append(FoundKey(name, held))
    if not found:
        raise InvalidInput(
            "key", f"there is none called {named!r}; `nextbest keys list` lists them", "unknown_name"
        )
    if len(found) > 1:
        where = ", ".join(each.held.path for each in found)
        raise InvalidInput(
            "key", f"{named!r} is several: {where}; add --source, or give more of the hash", "ambiguous"
        )
    return found[0]


def source_of(catalog: Catalog, name: str | None) -> Source:
    """The source called ``name``, or the only one; raises ``InvalidInput``."""
    if name is None and len(catalog.sources) == 1:
        return next(iter(catalog.sources.values()))
    source = catalog.sources.get(name or "")
    if source is None:
        known = ", ".join(sorted(catalog.sources)) or "none"
        what = "say which" if name is None else f"the catalog has no {name!r}"
        raise InvalidInput("source", f"{what}; there are: {known}", "unknown_name")
    return source


def added(catalog: Catalog, source: str, name: str, key: Key) -> KeyChange:
    """A key more; raises ``InvalidInput`` if there is one of that name."""
    keys = source_of(catalog, source).keys
    where = f"sources.{source}.keys"
    if name in keys:
        message = f"there is a {where}.{name} already; choose another name, or rotate that one"
        raise InvalidInput("name", message, "duplicate_name")
    changed = _with_keys(catalog, source, {**keys, name: key})
    return KeyChange(changed, f"+ {where}.{name}", where, key_lines(name, key))


def rotated(
    catalog: Catalog,
    found: FoundKey,
    digest: str,
    now_ms: int,
    overlap_ms: int,
    *,
    expires_ms: int | None = None,
    name: str = "",
) -> KeyChange:
    """Another key in the place of one, which lives on for a while.

    Parameters
    ----------
    digest
        SHA-256 of the new key in hex.
    overlap_ms
        How long the one before holds; 0: it ends now.
    expires_ms
        When the new one ends; 0: never; None: as the one before, which then must not have an end.
    name
        For a key that has none: it stands in a list, and moves to ``keys``.

    Raises
    ------
    InvalidInput
        Names what is missing or wrong.
    """
    held = found.held
    source = source_of(catalog, found.source)
    if held.is_before:
        raise InvalidInput("key", "was replaced already; revoke it, or rotate the one in its place")
    if held.expires_ms and expires_ms is None:
        day = moment(held.expires_ms)
        message = f"the key ends on {day}: say when the one after it does, as in 90d, 2030-01-01 or never"
        raise InvalidInput("expires", message, "missing_field")
    called = held.name or name
    if not called:
        raise InvalidInput("name", "the key stands in a list and has none; give it one by --name", "missing_field")
    if not held.name and called in source.keys:
        raise InvalidInput("name", f"sources.{found.source}.keys.{called} is another key", "duplicate_name")
    old = source.keys.get(called) or Key(sha256=held.digest, role=held.role)
    if old.before is not None and old.before.expires > now_ms:
        until = moment(old.before.expires)
        message = (
            f"{called} was rotated already, and the key before it lives until {until}; end that first: "
            f"`nextbest keys revoke {called} --before`"
        )
        raise InvalidInput("key", message, "rotated_already")
    ends_ms = min(now_ms + overlap_ms, held.expires_ms or now_ms + overlap_ms) // 1000 * 1000  # as it is printed
    lives_on = ends_ms > now_ms
    new = structs.replace(
        old,
        sha256=digest,
        expires=(held.expires_ms if expires_ms is None else expires_ms) or None,
        before=KeyBefore(sha256=held.digest, expires=ends_ms) if lives_on else None,
    )
    changed = _with_keys(_without(catalog, found), found.source, {**source.keys, called: new})
    where = f"sources.{found.source}.keys"
    until = f"the one before lives until {moment(ends_ms)}" if lives_on else "the one before ended"
    return KeyChange(
        changed, f"{where}.{called}: rotated, {until}", where, key_lines(called, new), {held.digest: ends_ms}
    )


def revoked(catalog: Catalog, found: FoundKey, now_ms: int, *, before: bool = False) -> KeyChange:
    """A key less, refused from now on whatever is published later.

    Parameters
    ----------
    before
        Only the key that this one has replaced.

    Raises
    ------
    InvalidInput
        If ``before`` is asked for and there is none.
    """
    held, source = found.held, source_of(catalog, found.source)
    spec = source.keys.get(held.name)
    where = f"sources.{found.source}.keys"
    if spec is None:
        what = f"{held.path}: revoked ({held.label})"
        return KeyChange(_without(catalog, found), what, held.path, (), {held.digest: now_ms})
    if before or held.is_before:
        if spec.before is None:
            raise InvalidInput("before", f"{held.name} has replaced no key that still lives", "unknown_name")
        alone = structs.replace(spec, before=None)
        changed = _with_keys(catalog, found.source, {**source.keys, held.name: alone})
        what = f"{where}.{held.name}: the key before revoked"
        return KeyChange(changed, what, where, key_lines(held.name, alone), {spec.before.sha256.lower(): now_ms})
    ended = {spec.sha256.lower(): now_ms}
    if spec.before is not None:
        ended[spec.before.sha256.lower()] = now_ms
    others = {name: key for name, key in source.keys.items() if name != held.name}
    changed = _with_keys(catalog, found.source, others)
    return KeyChange(changed, f"- {where}.{held.name}: revoked", f"{where}.{held.name}", (), ended)


def moment(at_ms: int) -> str:
    """A moment as catalogs write it: a date where it is one, else the second.

    >>> moment(1767225600000), moment(1767225601000)
    ('2026-01-01', '2026-01-01T00:00:01Z')
    """
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    is_day = (at.hour, at.minute, at.second) == (0, 0, 0)
    return at.strftime("%Y-%m-%d" if is_day else "%Y-%m-%dT%H:%M:%SZ")


def key_lines(name: str, key: Key) -> tuple[str, ...]:
    """A key as catalogs write it, line by line, as it stands under ``keys:``."""
    lines = [f"{name}:", f"  sha256: {key.sha256}", f"  role: {key.role}"]
    if key.permissions:
        lines.append(f"  permissions: [{', '.join(key.permissions)}]")
    if key.expires:
        lines.append(f"  expires: {moment(key.expires)}")
    if key.origins:
        lines.append(f"  origins: [{', '.join(key.origins)}]")
    if key.before is not None:
        lines.append(f"  before: {{sha256: {key.before.sha256}, expires: {moment(key.before.expires)}}}")
    return tuple(lines)


def _with_keys(catalog: Catalog, source: str, keys: Mapping[str, Key]) -> Catalog:
    changed = structs.replace(catalog.sources[source], keys=dict(keys))
    return structs.replace(catalog, sources={**catalog.sources, source: changed})


def _without(catalog: Catalog, found: FoundKey) -> Catalog:
    """The catalog without a key that stands in a list; any other stays."""
    source = catalog.sources[found.source]
    lists = {
        field: tuple(key for index, key in enumerate(written) if f".{field}[{index}]" not in found.held.path)
        for field, written in (("write_keys", source.write_keys), ("server_keys", source.server_keys))
    }
    return structs.replace(catalog, sources={**catalog.sources, found.source: structs.replace(source, **lists)})
