"""The catalog in force, as the API sees it: one attribute, swapped when a new version is published."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

from api.process.outages import Spoken
from background.cancelling import pause
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.item import Item
from personalization.deciding.decider_catalog import PreparedCatalog, prepare, with_items
from personalization.errors import Unavailable

ITEMS_EVERY_S = 0.2
"""Between two preparations of items that keep changing: an item is shown within a second."""


class CatalogInForce(Protocol):
    """Where the catalog in force is found."""

    @property
    def current(self) -> PreparedCatalog:
        """The version in force, ready to decide."""
        ...

    def item(self, item_id: str) -> Item | None:
        """An item at hand, whichever placements take it."""
        ...

    async def prepared(self, compiled: CompiledCatalog) -> PreparedCatalog:
        """Another catalog than the one in force, ready to decide, with the items at hand."""
        ...


class Compiled(Protocol):
    """What follows the published versions (``state.catalog_store``)."""

    @property
    def current(self) -> CompiledCatalog:
        """The version in force."""
        ...


class Items(Protocol):
    """What follows the items (``state.item_follower``)."""

    @property
    def revision(self) -> int:
        """The number of the newest change of the items at hand."""
        ...

    def get(self, item_id: str) -> Item | None:
        """One item."""
        ...

    def tagged(self, tags: Collection[str]) -> dict[str, Item]:
        """Those that carry one of ``tags``, by id, sorted."""
        ...


class NoItems:
    """Where nobody follows any."""

    revision = 0

    def get(self, item_id: str) -> Item | None:
        """None."""
        return None

    def tagged(self, tags: Collection[str]) -> dict[str, Item]:
        """None."""
        return {}


class NotInForce:
    """A catalog that was never published, where one in force is asked for."""

    def __init__(self, catalog: PreparedCatalog) -> None:
        self.current = catalog

    def item(self, item_id: str) -> Item | None:
        """None."""
        return None

    async def prepared(self, compiled: CompiledCatalog) -> PreparedCatalog:
        """The other, without items."""
        return await asyncio.to_thread(prepare, compiled)


class PreparedInForce:
    """Prepares each version once, when first asked for after it changed, and anew when items changed.

    Parameters
    ----------
    items
        Those that placements take by tag. They are prepared off the event loop (``run``), never by a request.
    """

    def __init__(self, source: Compiled, items: Items | None = None) -> None:
        self._source = source
        self._items = NoItems() if items is None else items
        self._prepared: PreparedCatalog | None = None
        self._prepared_revision = 0
        self._changed = asyncio.Event()

    @property
    def current(self) -> PreparedCatalog:
        """The version in force; raises ``Unavailable`` before the first is published."""
        try:
            compiled = self._source.current
        except Unavailable as error:
            raise Spoken("no catalog is published yet") from error
        prepared = self._prepared
        if prepared is None or prepared.catalog is not compiled:
            taken = self._taken(compiled)
            prepared = prepare(compiled)
            self._prepared = prepared = with_items(prepared, taken) if taken else prepared
            self._prepared_revision = self._items.revision
        return prepared

    def item(self, item_id: str) -> Item | None:
        """An item at hand, whichever placements take it."""
        return self._items.get(item_id)

    async def prepared(self, compiled: CompiledCatalog) -> PreparedCatalog:
        """Another catalog than the one in force, ready to decide, with the items at hand."""
        taken = self._taken(compiled)
        prepared = await asyncio.to_thread(prepare, compiled)
        return await asyncio.to_thread(with_items, prepared, taken) if taken else prepared

    def items_changed(self) -> None:
        """Others are at hand: they are prepared in a moment."""
        self._changed.set()

    async def run(self) -> None:
        """Prepare the items whenever they change, until cancelled; a few times a second at most."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            prepared, revision = self._prepared, self._items.revision
            if prepared is not None and revision != self._prepared_revision:
                taken = self._taken(prepared.catalog)
                # Off the loop: ten thousand items take tens of milliseconds, and decisions have fifty.
                made = await asyncio.to_thread(with_items, prepared, taken)
                if self._prepared is prepared:  # else another version came, and took the items with it
                    self._prepared, self._prepared_revision = made, revision
            await pause(ITEMS_EVERY_S)

    def _taken(self, compiled: CompiledCatalog) -> dict[str, dict[str, Item]]:
        tags = {name: placement.spec.tags for name, placement in compiled.placements.items() if placement.spec.tags}
        return {name: self._items.tagged(of_one) for name, of_one in tags.items()}
