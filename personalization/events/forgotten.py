"""Somebody was erased: what models know of them alone goes, at this place among what they learn."""

from __future__ import annotations

import msgspec

from personalization.errors import InvalidInput

_TAG = "forgotten"


class Forgotten(msgspec.Struct, frozen=True, tag=_TAG):
    """Stands in ``outcomes`` under the key of each model, so that a replay meets it at the same place.

    Taken twice it does no more than once.

    Attributes
    ----------
    units
        8-byte hashes by which outcomes and examples name those who were erased (``VisitorState.unit``).
    """

    units: tuple[bytes, ...]
    at_ms: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Forgotten)
_BEGINNING = _encoder.encode({"type": _TAG})[1:]
"""A tag is encoded before any field; an outcome has none, and begins with its choice."""


def encode_forgotten(record: Forgotten) -> bytes:
    """The record as the log stores it (msgpack)."""
    return _encoder.encode(record)


def is_forgotten(value: bytes) -> bool:
    """Whether the bytes of a record are such a one.

    >>> is_forgotten(encode_forgotten(Forgotten((b"8 bytes.",), 7))), is_forgotten(b"")
    (True, False)
    """
    return value.startswith(_BEGINNING, 1)


def decode_forgotten(data: bytes) -> Forgotten:
    """The record back.

    Raises
    ------
    InvalidInput
        Where the bytes are no such record: permanently bad, for the dead letters.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput("forgotten", f"not a record of who was erased: {error}", "bad_forgotten") from error
