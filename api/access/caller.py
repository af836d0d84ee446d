"""Who is asking: whoever a key belongs to, by the catalog in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from api.access.key_ring import Access, KeyRing
from api.access.permissions import Permission
from api.errors import forbidden, key_ended, unauthorized
from api.process.catalog import CatalogInForce
from personalization.catalog.catalog import PublishedCatalog
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
        """Whether its key is one that no page may hold: nobody but whom it was given to has it."""
        return not self.access.is_page


class KeysInForce:
    """The keys of the catalog in force.

    Parameters
    ----------
    clock_ms
        Wall clock, milliseconds since 1970: keys end by it.
    """

    def __init__(self, catalog: CatalogInForce, clock_ms: Callable[[], int]) -> None:
        self._catalog = catalog
        self._clock_ms = clock_ms
        self._of: CompiledCatalog | None = None
        self._ring = KeyRing({})
        self._callers: dict[str, Caller] = {}

    def identify(self, key: str) -> Caller | None:
        """Whoever shows ``key``, None for a key nobody has.

        Raises
        ------
        ApiError
            401 for a key that has expired or was revoked.
        """
        compiled = self._catalog.current.catalog
        if compiled is not self._of:
            written = compiled.catalog
            ended = written.ended if isinstance(written, PublishedCatalog) else {}
            self._ring, self._callers, self._of = KeyRing(written.sources, ended), {}, compiled
        caller = self._callers.get(key)
        if caller is None:
            access = self._ring.identify(key)
            if access is None:
                self._see_whether_ended(key)
                return None
            caller = self._callers[key] = Caller(access, key)
        expires_ms = caller.access.expires_ms
        if expires_ms and expires_ms <= self._clock_ms():
            raise key_ended(caller.access.key_name, expires_ms, is_revoked=caller.access.is_revoked)
        return caller

    def _see_whether_ended(self, key: str) -> None:
        ended = self._ring.ended(key)
        if ended is not None and ended[1] <= self._clock_ms():
            raise key_ended(*ended, is_revoked=True)


def authenticate(key: str | None, keys: KeysInForce) -> Caller:
    """Whoever shows ``key``.

    Raises
    ------
    ApiError
        401 without a known key, or with one that has ended.
    """
    caller = keys.identify(key) if key else None
    if caller is None:
        raise unauthorized()
    return caller


def authorise(caller: Caller, permission: Permission) -> None:
    """See that a caller may.

    Raises
    ------
    ApiError
        403 without the permission.
    """
    if not caller.access.may(permission):
        raise forbidden(caller.access.role, permission)
