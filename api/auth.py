"""Who is asking: keys, and what they allow."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import Scope

from api.catalog import CatalogInForce
from api.errors import forbidden, unauthorized
from config.keys import Access, KeyRing
from personalization.compiled import CompiledCatalog


class KeysInForce:
    """The keys of the catalog in force."""

    def __init__(self, catalog: CatalogInForce) -> None:
        self._catalog = catalog
        self._of: CompiledCatalog | None = None
        self._ring = KeyRing({})

    def identify(self, key: str) -> Access | None:
        """What ``key`` gives, None for a key nobody has."""
        compiled = self._catalog.current.catalog
        if compiled is not self._of:
            self._ring, self._of = KeyRing(compiled.catalog.sources), compiled
        return self._ring.identify(key)


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


def authorise(scope: Scope, keys: KeysInForce, *, server: bool = False, key: str | None = None) -> Access:
    """What the key that the request shows gives.

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
    access = keys.identify(shown) if shown else None
    if access is None:
        raise unauthorized()
    if server and access.role != "server":
        raise forbidden()
    return access
