"""What caps count: how often one content was shown, the capped ones of a placement, or those of a group.

Each of these has a name under which it is kept of a visitor; that of a content is its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from personalization.catalog.sections.content import Cap, Content

if TYPE_CHECKING:
    from personalization.catalog.catalog import Catalog


def of_placement(placement: str) -> str:
    """The name for the contents that have a cap per placement, as far as they are shown in this one."""
    return f"\x1fplacement\x1f{placement}"


def of_group(group: str) -> str:
    """The name for the contents of a group, wherever they are shown."""
    return f"\x1fgroup\x1f{group}"


def counted_by(cap: Cap, content_id: str, content: Content, placement: str) -> str:
    """The name of what a cap of ``content`` counts, if it is to be shown in ``placement``."""
    if cap.of == "placement":
        return of_placement(placement)
    return content_id if cap.of == "content" or content.group is None else of_group(content.group)


def counts_with_others(content: Content) -> bool:
    """Whether a showing of ``content`` counts together with other contents, in some placement."""
    return content.group is not None or any(cap.of == "placement" for cap in content.cap)


def counted_with(content: Content, placement: str) -> Iterator[str]:
    """The names under which a showing of ``content`` counts together with other contents.

    >>> promo = Content(group="promos", cap=(Cap(limit=3, per="day"), Cap(limit=2, within_ms=5, of="placement")))
    >>> [name.split("\\x1f")[1:] for name in counted_with(promo, "hero")]
    [['placement', 'hero'], ['group', 'promos']]
    """
    if any(cap.of == "placement" for cap in content.cap):
        yield of_placement(placement)
    if content.group is not None:
        yield of_group(content.group)


def caps_by_name(catalog: Catalog) -> dict[str, list[Cap]]:
    """All caps of a catalog, by the name of what they count."""
    found: dict[str, list[Cap]] = defaultdict(list)
    for content_id, content in catalog.content.items():
        for cap in content.cap:
            if cap.of != "placement":
                found[counted_by(cap, content_id, content, "")].append(cap)
    for name, placement in catalog.placements.items():
        variants = (variant.content or () for variant in placement.variants.values())
        listed = {placement.default or "", *placement.content}.union(*variants)
        for content in filter(None, map(catalog.content.get, listed)):
            for cap in content.cap:
                if cap.of == "placement":
                    found[of_placement(name)].append(cap)
    return found
