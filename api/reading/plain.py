"""What is kept, as JSON by the names of its fields: of compact structs too, which are stored without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from personalization.features import unpack


def plain(value: Any) -> Any:
    """``value`` with structs as objects, bytes as hexadecimal text and packed features unpacked.

    >>> from personalization.visitor.visitor_state import Decayed
    >>> plain({"Viewed": Decayed(1.5, 1000)}), plain(b"\\x01\\xff")
    ({'Viewed': {'value': 1.5, 'at_ms': 1000}}, '01ff')
    """
    if isinstance(value, msgspec.Raw):
        return _packed(bytes(value))
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        tag = value.__struct_config__.tag
        return fields if tag is None else {"type": tag, **fields}
    if isinstance(value, Mapping):
        return {name.hex() if isinstance(name, bytes) else str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value


def _packed(data: bytes) -> Any:
    try:
        return plain(unpack(msgspec.Raw(data)))
    except (msgspec.DecodeError, ValueError):
        return plain(msgspec.msgpack.decode(data)) if data else None
