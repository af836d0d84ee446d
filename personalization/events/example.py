"""An example: one session's start and whether the conversion followed, what a conversion model learns from.

Every example is told twice: when it opens (what is served then can be judged later), and when its horizon has
closed, with its label. Where labels are early it is told once more at the conversion.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from personalization.catalog.compiled_catalog import CONVERSION_KEY
from personalization.data_cipher import unreadable
from personalization.events.forgotten import Forgotten
from personalization.features import FeatureValue


class Stage(StrEnum):
    """Which moment of an example's life this is."""

    OPENED = "opened"
    CONVERTED = "converted"
    """Told of early examples only; the closing tells all of them."""
    CLOSED = "closed"
    """The horizon ended: ``label`` is final."""


class Example(msgspec.Struct, frozen=True, omit_defaults=True, tag="example"):
    """One moment of one example.

    Attributes
    ----------
    example_id
        Derived from the entry that opened it: the same whoever folds it.
    label
        Whether the conversion came within the horizon; final where ``stage`` is ``closed``.
    early
        Whether the model learns before the horizon closes.
    features
        As of the session's start.
    unit
        8-byte hash of the person: what has no place in the model yet must be seen with several. Empty: not known.
    """

    example_id: str
    conversion: str
    stage: Stage
    opened_at_ms: int
    at_ms: int
    label: bool = False
    early: bool = False
    features: dict[str, FeatureValue] = {}
    catalog_version: int = 0
    unit: bytes = b""

    @property
    def record_id(self) -> str:
        """Names this very record: an example and its stage."""
        return f"{self.example_id}/{self.stage.value}"


class Challenge(msgspec.Struct, frozen=True, omit_defaults=True, tag="challenge"):
    """A retrained model enters the contest here, between two examples, so that a replay meets it at the same place.

    Attributes
    ----------
    challenger_id
        Where the model is kept, and what the contest is called.
    digest
        BLAKE2b of its bytes.
    """

    challenger_id: str
    conversion: str
    digest: bytes
    at_ms: int

    @property
    def record_id(self) -> str:
        """Names this very record."""
        return f"{self.challenger_id}/challenge"


ConversionRecord: TypeAlias = Example | Challenge | Forgotten


def example_key(conversion: str) -> str:
    """The key of a conversion's records in ``outcomes``: one learner has them all, in order.

    >>> example_key("buys_soon"), conversion_of("conversion:buys_soon"), conversion_of("home.hero")
    ('conversion:buys_soon', 'buys_soon', None)
    """
    return CONVERSION_KEY + conversion


def conversion_of(key: str) -> str | None:
    """The conversion whose records stand under ``key``, None where it is a placement's."""
    return key.removeprefix(CONVERSION_KEY) if key.startswith(CONVERSION_KEY) else None


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[ConversionRecord] = msgspec.msgpack.Decoder(ConversionRecord)


def encode_example(record: ConversionRecord) -> bytes:
    """The record as the log stores it (msgpack)."""
    return _encoder.encode(record)


def decode_example(data: bytes) -> ConversionRecord:
    """The record back.

    Raises
    ------
    InvalidInput
        Where the bytes are no such record: permanently bad, for the dead letters.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "example", f"not an example: {error}", "bad_example") from error
