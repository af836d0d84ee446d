"""Items: contents that come and go beside the catalog, such as a newspaper's articles.

An item is a content with tags. Placements take items by tag, so that a new one is an arm within a second, without a
new version of the catalog.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any

import msgspec

from personalization.catalog.body_check import body_mistakes
from personalization.catalog.sections.content import MAX_TAG_CHARS, Content
from personalization.errors import InvalidInput
from personalization.free_json import check_free_json

MAX_ITEMS = 10_000
MAX_ITEM_BYTES = 32 * 1024
"""Of one item, encoded: every API process holds all of them."""

MAX_ITEM_ID_BYTES = 256
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
    check_item_id(item_id)
    _check_body(content.body, content.type, "body")
    for locale, body in content.locales.items():
        _check_body(body, content.type, f"locales.{locale[:64]}")
    check_free_json(content.priority, "priority")
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


def check_bodies(content: Content, schemes: Collection[str]) -> None:
    """Refuse HTML that could become code in a page, and redirects that lead where nobody meant.

    Beside ``check_item``, since it is asked of bodies that are new: what is kept already can be changed otherwise.

    Parameters
    ----------
    schemes
        Schemes of apps, as the catalog lists them.

    Raises
    ------
    InvalidInput
        Names the body and its line, and says what to write.
    """
    for field, body in [
        ("body", content.body),
        *((f"locales.{tag[:64]}", x) for tag, x in content.locales.items()),
    ]:
        for line, message in body_mistakes(content, body, schemes):
            raise InvalidInput(field, f"line {line}: {message}" if line > 1 else message, "unsafe_body")


def check_item_id(item_id: str) -> None:
    """Refuse an id that is too long, or that not every path and log could name.

    Raises
    ------
    InvalidInput
        Says what of it to change. A replacement character is what stands in for bytes that are not UTF-8.
    """
    if not item_id or len(item_id.encode("utf-8", "surrogatepass")) > MAX_ITEM_ID_BYTES:
        raise InvalidInput("id", f"must have 1 to {MAX_ITEM_ID_BYTES} bytes")
    if not item_id.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in item_id):
        raise InvalidInput("id", "holds a control character, or half a character; remove it", "bad_text")
    if "\ufffd" in item_id:
        raise InvalidInput("id", "is not UTF-8; send the id as UTF-8, percent-encoded in a path", "bad_text")


def _check_body(body: Any, type_: str, field: str) -> None:
    if type_ != "json" and not isinstance(body, str):
        raise InvalidInput(field, f"must be text for {type_}; send type json for anything else")
    check_free_json(body, field)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """The item as stored (msgpack)."""
    return _encoder.encode(item)


def decode_item(data: bytes) -> Item:
    """The item back; raises ``msgspec.DecodeError`` if the bytes are something else."""
    return _decoder.decode(data)
