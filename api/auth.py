"""Who is asking: keys, and what they allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import Scope

from api.catalog import CatalogInForce
from api.errors import forbidden, unauthorized
from config.keys import Access, KeyRing
from personalization.catalog.compiled_catalog import CompiledCatalog


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request.

    Attributes
    ----------
    access
        What the key gives.
    key
        The key itself, which is a source's and never a visitor's id.
    """

    access: Access
    key: str = field(repr=False)

    @property
    def is_server(self) -> bool:
        """Whether it showed a server key."""
        return self.access.role == "server"


class KeysInForce:
    """The keys of the catalog in force."""

    def __init__(self, catalog: CatalogInForce) -> None:
        self._catalog = catalog
        self._of: CompiledCatalog | None = None
        self._ring = KeyRing({})
        self._callers: dict[str, Caller] = {}

    def identify(self, key: str) -> Caller | None:
        """Whoever shows ``key``, None for a key nobody has."""
        compiled = self._catalog.current.catalog
        if compiled is not self._of:
            self._ring, self._callers, self._of = KeyRing(compiled.catalog.sources), {}, compiled
        caller = self._callers.get(key)
        if caller is None:
            access = self._ring.identify(key)
            if access is not None:
                caller = self._callers[key] = Caller(access, key)
        return caller


def key_in(scope: Scope) -> str | None:
    """The key a request shows: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                return value[7:].strip().decode("latin-1")
        elif name == b"x-api-key":
            return value.decode("latin-1")
    return None


def authorise(scope: Scope, keys: KeysInForce, *, server: bool = False, key: str | None = None) -> Caller:
    """Whoever the key that the request shows belongs to.

    Parameters
    ----------
    key
        Shown in another way, where headers cannot be sent.

    Raises
    ------
    ApiError
        401 without a known key, 403 where a server key is needed.
    """
    shown = key_in(scope) or key
    caller = keys.identify(shown) if shown else None
    if caller is None:
        raise unauthorized()
    if server and not caller.is_server:
        raise forbidden()
    return caller
