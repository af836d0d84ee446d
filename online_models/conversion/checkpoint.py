"""Conversion models outside a process, each in an ``Envelope``.

Three kinds: a learner's ``book``, a ``challenger`` to be entered, and what is ``served`` by deciders,
without what only training needs.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
import river

from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import Contender
from online_models.envelope import Body, Envelope
from personalization.errors import Refused
from personalization.features import Features

FORMAT = 2
MAGIC = b"nbcv"
COMPRESSION = 1
"""Tables are mostly zeros at first and never full: the fastest level gains nearly all."""

Kind: TypeAlias = Literal["book", "challenger", "served"]


class CheckpointBody(Body, frozen=True):
    """A conversion's book or model.

    Attributes
    ----------
    version
        Of what is served: (generation, records learned) packed; 0 elsewhere.
    offsets
        Of a book: partition → first offset *not* trained yet.
    payload
        MessagePack, compressed; a River model within it is a pickle.
    """

    kind: Kind
    conversion: str
    version: int
    offsets: dict[int, int]
    payload: bytes


ENVELOPE = Envelope(MAGIC, FORMAT, CheckpointBody, "a conversion model's checkpoint", "replay the examples")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint: the book, trained on every record before ``offsets``."""

    model: ConversionBook
    offsets: dict[int, int]


@dataclass(frozen=True, slots=True)
class Served:
    """A conversion's model as deciders have it, never taught again."""

    contender: Contender
    conversion: str
    version: int

    def score(self, features: Features) -> float:
        """Probability of the conversion within its horizon."""
        return self.contender.predict(features)


def dump(book: ConversionBook, offsets: dict[int, int], secret: bytes) -> bytes:
    """The checkpoint of a book."""
    return _seal("book", book.conversion, 0, offsets, book.dump(), secret)


def load(data: bytes, secret: bytes, *, conversion: str | None = None) -> Checkpoint:
    """The inverse of ``dump``.

    Raises
    ------
    Refused
        For damage, a foreign secret, another kind, format, River version or conversion. Nothing is unpickled before
        the MAC has been checked.
    """
    body = _open(data, secret, "book", conversion)
    return Checkpoint(ConversionBook.load(_decoded(body.payload)), body.offsets)


def dump_challenger(contender: Contender, conversion: str, secret: bytes) -> bytes:
    """A retrained model on its way to the learner."""
    return _seal("challenger", conversion, 0, {}, contender.dump(), secret)


def load_challenger(data: bytes, secret: bytes, *, conversion: str | None = None) -> Contender:
    """The inverse of ``dump_challenger``; raises ``Refused`` as ``load`` does."""
    return Contender.load(_decoded(_open(data, secret, "challenger", conversion).payload))


def dump_served(contender: Contender, conversion: str, version: int, secret: bytes) -> bytes:
    """What deciders need of a model. Some 10 ms of CPU, most of it compression."""
    return _seal("served", conversion, version, {}, contender.dump(training=False), secret)


def load_served(data: bytes, secret: bytes, *, conversion: str | None = None) -> Served:
    """The inverse of ``dump_served``; raises ``Refused`` as ``load`` does."""
    body = _open(data, secret, "served", conversion)
    return Served(Contender.load(_decoded(body.payload)), body.conversion, body.version)


def digest(data: bytes) -> bytes:
    """Names bytes for good."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _seal(
    kind: Kind, conversion: str, version: int, offsets: dict[int, int], state: dict[str, Any], secret: bytes
) -> bytes:
    payload = zlib.compress(msgspec.msgpack.encode(state), COMPRESSION)
    body = CheckpointBody(FORMAT, river.__version__, kind, conversion, version, offsets, payload)
    return ENVELOPE.seal(body, secret)


def _open(data: bytes, secret: bytes, kind: Kind, conversion: str | None) -> CheckpointBody:
    body = ENVELOPE.open(data, secret)
    if body.kind != kind:
        raise Refused(f"this is a conversion model's {body.kind}, not a {kind}")
    if conversion is not None and body.conversion != conversion:
        raise Refused(f"the checkpoint is of conversion {body.conversion!r}, not {conversion!r}")
    return body


def _decoded(payload: bytes) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(payload))
    return state
