"""The keeper of items of a process, through which every dialect puts them in and takes them out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from api.access.caller import Caller
from api.services.ports import Items, Services
from personalization.catalog.item import Item
from personalization.errors import InvalidInput, Unavailable


class Stock:
    """Items, by whoever may change them. What Redis does not do raises ``Unavailable``."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def app_schemes(self) -> Collection[str]:
        """Schemes of apps to which contents may lead, as the catalog lists them."""
        return self._services.catalog.current.catalog.catalog.redirect_schemes

    def check_id(self, item_id: str) -> None:
        """Raise ``InvalidInput`` if the catalog has a content of that id: the item would never be shown."""
        if item_id in self._services.catalog.current.catalog.catalog.content:
            message = f"{item_id!r} is a content of the catalog; choose another id"
            raise InvalidInput("id", message, "other_content")

    async def put(self, items: Mapping[str, Item], caller: Caller) -> dict[str, int | None]:
        """Write items over whatever stands under their ids; the revision of each, None where there is no room."""
        if not items:
            return {}
        async with self._items() as kept:
            return await kept.put(items, caller.access.source)

    async def change(self, item_id: str, change: Callable[[Item], Item], caller: Caller) -> int | None:
        """Put what ``change`` makes of an item in its place; the revision, None where there is no such item."""
        async with self._items() as kept:
            return await kept.change(item_id, change, caller.access.source)

    async def remove(self, item_id: str, caller: Caller) -> int | None:
        """Take an item out; the revision, None where there is none."""
        async with self._items() as kept:
            return await kept.remove(item_id, caller.access.source)

    async def get(self, item_id: str) -> Item | None:
        """One item."""
        async with self._items() as kept:
            return await kept.get(item_id)

    @asynccontextmanager
    async def _items(self) -> AsyncIterator[Items]:
        items = self._services.items
        if items is None:
            raise Unavailable("this process keeps no items")
        try:
            yield items
        except (RedisError, OSError) as error:
            raise Unavailable(f"items cannot be reached: {error}") from error
