"""Items: contents that come and go beside the catalog, such as a newspaper's articles.

An item is a content with tags. Placements take items by tag, so that a new one is an arm within a second, without a
new version of the catalog.
"""

from __future__ import annotations

import msgspec

from personalization.catalog.sections.content import MAX_TAG_CHARS, Content
from personalization.errors import InvalidInput

MAX_ITEMS = 10_000
MAX_ITEM_BYTES = 32 * 1024
"""Of one item, encoded: every API process holds all of them."""

MAX_TAGS = 16
MAX_ITEM_FEATURES = 64


class Item(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item.

    Attributes
    ----------
    content
        What is shown, when, and what models know of it. It has no rule and no cap: those are the catalog's.
    tags
        By which placements take it.
    in_stock
        Whether it may be shown at all.
    """

    content: Content
    tags: tuple[str, ...] = ()
    in_stock: bool = True


def check_item(item_id: str, item: Item) -> None:
    """Refuse an item that cannot be shown or kept.

    Raises
    ------
    InvalidInput
        Names the field, and says what to write.
    """
    content = item.content
    if not item_id or len(item_id.encode("utf-8", "surrogatepass")) > 256:
        raise InvalidInput("id", "must have 1 to 256 bytes")
    if content.type != "json" and not isinstance(content.body, str):
        raise InvalidInput("body", f"must be text for {content.type}; send type json for anything else")
    if content.starts_ms is not None and content.ends_ms is not None and content.starts_ms >= content.ends_ms:
        raise InvalidInput("ends", "must lie after starts")
    if len(item.tags) > MAX_TAGS:
        raise InvalidInput("tags", f"are at most {MAX_TAGS}")
    for index, tag in enumerate(item.tags):
        if not 1 <= len(tag) <= MAX_TAG_CHARS:
            raise InvalidInput(f"tags[{index}]", f"must have 1 to {MAX_TAG_CHARS} characters")
    if len(content.features) > MAX_ITEM_FEATURES:
        raise InvalidInput("features", f"are at most {MAX_ITEM_FEATURES}")
    try:
        n_bytes = len(encode_item(item))
    except (UnicodeEncodeError, OverflowError, msgspec.MsgspecError) as error:
        raise InvalidInput("body", "cannot be stored: it holds half a character, or too large a number") from error
    if n_bytes > MAX_ITEM_BYTES:
        raise InvalidInput("body", f"the item has {n_bytes:,} bytes; at most {MAX_ITEM_BYTES:,} are kept")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """The item as stored (msgpack)."""
    return _encoder.encode(item)


def decode_item(data: bytes) -> Item:
    """The item back; raises ``msgspec.DecodeError`` if the bytes are something else."""
    return _decoder.decode(data)
