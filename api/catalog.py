"""The catalog in force, as the API sees it: one attribute, swapped when a new version is published."""

from __future__ import annotations

from typing import Protocol

from api.outages import Spoken
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.deciding.decider_catalog import PreparedCatalog, prepare
from personalization.errors import Unavailable


class CatalogInForce(Protocol):
    """Where the catalog in force is found."""

    @property
    def current(self) -> PreparedCatalog:
        """The version in force, ready to decide."""
        ...


class Compiled(Protocol):
    """What follows the published versions (``state.catalog_store``)."""

    @property
    def current(self) -> CompiledCatalog:
        """The version in force."""
        ...


class PreparedInForce:
    """Prepares each version once, when first asked for after it changed."""

    def __init__(self, source: Compiled) -> None:
        self._source = source
        self._prepared: PreparedCatalog | None = None

    @property
    def current(self) -> PreparedCatalog:
        """The version in force; raises ``Unavailable`` before the first is published."""
        try:
            compiled = self._source.current
        except Unavailable as error:
            raise Spoken("no catalog is published yet") from error
        prepared = self._prepared
        if prepared is None or prepared.catalog is not compiled:
            prepared = self._prepared = prepare(compiled)
        return prepared
