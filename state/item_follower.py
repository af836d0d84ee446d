"""Keeps all items at hand, in every process that decides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TypeAlias

from redis.exceptions import RedisError

from background.cancelling import pause, stop_if_cancelled
from personalization.catalog.item import Item
from state.item_store import ItemStore

logger = logging.getLogger(__name__)

Listener: TypeAlias = Callable[[], None]

LOOK_S = 0.5
"""Between two looks where no announcement comes: an item is shown within a second."""


class ItemFollower:
    """The items as one process sees them.

    Told by pub/sub, and looking every ``look_s`` besides. While Redis is away the last ones stay.

    Attributes
    ----------
    revision
        Of the items at hand.
    """

    def __init__(self, store: ItemStore, on_change: Listener | None = None, look_s: float = LOOK_S) -> None:
        self.store = store
        self.on_change = on_change
        self.revision = 0
        self._look_s = look_s
        self._items: dict[str, Item] = {}
        self._tagged: dict[str, dict[str, Item]] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, item_id: str) -> Item | None:
        """One item."""
        return self._items.get(item_id)

    def tagged(self, tags: Collection[str]) -> dict[str, Item]:
        """The items that carry one of ``tags``, by id, sorted: every process has the same order."""
        found = {item_id: item for tag in tags for item_id, item in self._tagged.get(tag, {}).items()}
        return dict(sorted(found.items()))

    async def run(self) -> None:
        """Follow until cancelled, through failures of Redis."""
        while True:
            try:
                await self._follow()
            except (RedisError, OSError) as error:
                logger.warning("items_disconnected", extra={"reason": str(error)})
            await pause(self._look_s)

    async def refresh(self) -> bool:
        """Read what changed; whether anything did."""
        changes = await self.store.since(self.revision)
        if changes is None:
            return False
        if changes.is_all:
            self._items, self._tagged = {}, {}
        for item_id, item in changes.items.items():
            self._take(item_id, item)
        self.revision = changes.revision
        if self.on_change is not None:
            self.on_change()
        return True

    def _take(self, item_id: str, item: Item | None) -> None:
        before = self._items.pop(item_id, None)
        if before is not None:
            for tag in before.tags:
                self._tagged[tag].pop(item_id, None)
                if not self._tagged[tag]:
                    del self._tagged[tag]
        if item is not None:
            self._items[item_id] = item
            for tag in item.tags:
                self._tagged.setdefault(tag, {})[item_id] = item

    async def _follow(self) -> None:
        async with self.store.redis.pubsub() as announcements:
            await announcements.subscribe(self.store.channel)
            while True:
                stop_if_cancelled()
                await self.refresh()
                await announcements.get_message(ignore_subscribe_messages=True, timeout=self._look_s)
