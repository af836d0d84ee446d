"""Who is asking: whoever a key belongs to, by the catalog in force."""

from __future__ import annotations

from dataclasses import dataclass, field

from api.access.key_ring import Access, KeyRing
from api.access.permissions import Permission
from api.catalog import CatalogInForce
from api.errors import forbidden, unauthorized
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


def authorise(key: str | None, keys: KeysInForce, permission: Permission) -> Caller:
    """Whoever shows ``key``, if they may.

    Raises
    ------
    ApiError
        401 without a known key, 403 without the permission.
    """
    caller = keys.identify(key) if key else None
    if caller is None:
        raise unauthorized()
    if not caller.access.may(permission):
        raise forbidden()
    return caller
