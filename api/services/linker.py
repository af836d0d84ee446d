"""Which pairs of ids a request links, and which were linked lately."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from personalization.audience.consent import stands_alone
from personalization.events.event import Alias, ClientEvent, Identify
from personalization.visitor.identity import canonical_of
from personalization.visitor.visitor_key import anonymous_key, user_key, visitor_key

MAX_LINKED = 65_536
"""Losing keys remembered by each process (``benchmarks.api_memory``)."""

RECENT_MS = 10 * 60_000
"""A pair is linked again after this: whoever logged out may have begun a new visit under the anonymous id since,
and it is joined by the next link. One small entry in ten minutes of a known visitor's."""


class Linked(NamedTuple):
    """Two keys of one person: the one that leads to the other from then on.

    Attributes
    ----------
    proven
        Whether the user proved that the browser is theirs.
    if_nobodys
        Only if the losing key leads to no user yet.
    """

    losing: str
    canonical: str
    proven: bool = False
    if_nobodys: bool = False


class Linker:
    """Knows which keys were linked to which lately, so that not every event of a known visitor links them again."""

    def __init__(self, size: int = MAX_LINKED) -> None:
        self._size = size
        self._linked: OrderedDict[str, tuple[Linked, int]] = OrderedDict()

    def links(
        self, event: ClientEvent, now_ms: int, *, proven: bool = False, verifies: bool = False
    ) -> list[Linked]:
        """The links this event asks for.

        Parameters
        ----------
        proven
            By the user it names.
        verifies
            Its sender has to prove whom it speaks for. Then an alias takes a past along for a proven user alone,
            and only one that is nobody's yet: whose the other browser was, nobody has proven.
        """
        found: list[Linked] = []
        if stands_alone(event):
            return found
        again = isinstance(event, Identify | Alias)
        if event.user_id and event.anonymous_id:
            user, anonymous = user_key(event.user_id), anonymous_key(event.anonymous_id)
            found += self.links_of(user, anonymous, now_ms, again=again, proven=proven)
        if isinstance(event, Alias) and (proven or not verifies):
            own = visitor_key(event.user_id, event.anonymous_id)
            past = self.links_of(own, anonymous_key(event.previous_id), now_ms, again=True)
            found += [link._replace(if_nobodys=verifies) for link in past]
        return found

    def links_of(
        self, left: str, right: str, now_ms: int, *, again: bool = False, proven: bool = False
    ) -> list[Linked]:
        """The link of two keys of one person; none where it was said lately, unless it is said ``again``."""
        canonical = canonical_of(left, right)
        if canonical is None or left == right:
            return []
        link = Linked(right if canonical == left else left, canonical, proven)
        if not again:
            lately, at_ms = self._linked.get(link.losing, (None, 0))
            said = lately is not None and lately.canonical == canonical and (lately.proven or not proven)
            if said and now_ms - at_ms < RECENT_MS:
                return []
        return [link]

    def appended(self, links: list[Linked], now_ms: int) -> None:
        """These are in the log."""
        for link in links:
            self._linked[link.losing] = (link, now_ms)
            self._linked.move_to_end(link.losing)
        while len(self._linked) > self._size:
            self._linked.popitem(last=False)

    def forget(self, losing: str) -> None:
        """The key leads nowhere any more."""
        self._linked.pop(losing, None)
