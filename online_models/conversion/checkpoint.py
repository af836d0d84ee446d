"""Conversion models outside a process, each in an ``Envelope``.

Three kinds: a learner's ``book``, a ``challenger`` to be entered, and what is ``served`` by deciders,
without what only training needs.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import Contender
from online_models.envelope import Body, Envelope, payload_refused, river_version
from personalization.errors import Refused
from personalization.features import Features

FORMAT = 4
MAGIC = b"nbcv"
COMPRESSION = 1
"""Tables are mostly zeros at first and never full: the fastest level gains nearly all."""

LoadedT = TypeVar("LoadedT", ConversionBook, Contender)
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
    return _seal("book", book.conversion, 0, offsets, book, secret)


def load(data: bytes, secret: bytes, *, conversion: str | None = None) -> Checkpoint:
    """The inverse of ``dump``.

    Raises
    ------
    Refused
        For damage, a foreign secret, another kind, format or conversion, another River version if there are River
        objects in it, or a payload that cannot be loaded for whatever reason. Nothing is unpickled before the MAC
        has been checked.
    """
    body = _open(data, secret, "book", conversion)
    return Checkpoint(_loaded(ConversionBook.load, body.payload), body.offsets)


def verify(data: bytes, secret: bytes) -> Checkpoint:
    """Load back what was just dumped: a checkpoint counts as good once it was.

    It must also be the same again, bit for bit, if it is made of arrays; see ``online_models.checkpoint.verify``.
    Takes some 20 ms, half of what ``dump`` does.

    Raises
    ------
    Refused
        As ``load`` does, and if what was loaded is not what was dumped.
    """
    body = _open(data, secret, "book", None)
    book = _loaded(ConversionBook.load, body.payload)
    if book.holds_river or (book.challenger is not None and book.challenger.holds_river):
        book.champion.predict({})
    elif msgspec.msgpack.encode(book.dump()) != zlib.decompress(body.payload):
        raise Refused("the checkpoint does not load back as it was dumped: keep the last good one")
    return Checkpoint(book, body.offsets)


def dump_challenger(contender: Contender, conversion: str, secret: bytes) -> bytes:
    """A retrained model on its way to the learner."""
    return _seal("challenger", conversion, 0, {}, contender, secret)


def load_challenger(data: bytes, secret: bytes, *, conversion: str | None = None) -> Contender:
    """The inverse of ``dump_challenger``; raises ``Refused`` as ``load`` does."""
    return _loaded(Contender.load, _open(data, secret, "challenger", conversion).payload)


def dump_served(contender: Contender, conversion: str, version: int, secret: bytes) -> bytes:
    """What deciders need of a model. Some 10 ms of CPU, most of it compression."""
    return _seal("served", conversion, version, {}, contender, secret, training=False)


def load_served(data: bytes, secret: bytes, *, conversion: str | None = None) -> Served:
    """The inverse of ``dump_served``; raises ``Refused`` as ``load`` does."""
    body = _open(data, secret, "served", conversion)
    return Served(_loaded(Contender.load, body.payload), body.conversion, body.version)


def digest(data: bytes) -> bytes:
    """Names bytes for good."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _seal(
    kind: Kind,
    conversion: str,
    version: int,
    offsets: dict[int, int],
    model: ConversionBook | Contender,
    secret: bytes,
    *,
    training: bool = True,
) -> bytes:
    state = model.dump() if isinstance(model, ConversionBook) else model.dump(training=training)
    payload = zlib.compress(msgspec.msgpack.encode(state), COMPRESSION)
    river = river_version(holds_river=model.holds_river)
    body = CheckpointBody(FORMAT, river, kind, conversion, version, offsets, payload)
    return ENVELOPE.seal(body, secret)


def _open(data: bytes, secret: bytes, kind: Kind, conversion: str | None) -> CheckpointBody:
    body = ENVELOPE.open(data, secret)
    if body.kind != kind:
        raise Refused(f"this is a conversion model's {body.kind}, not a {kind}")
    if conversion is not None and body.conversion != conversion:
        raise Refused(f"the checkpoint is of conversion {body.conversion!r}, not {conversion!r}")
    return body


def _loaded(load: Callable[[dict[str, Any]], LoadedT], payload: bytes) -> LoadedT:
    try:
        return load(msgspec.msgpack.decode(zlib.decompress(payload)))
    except Exception as error:
        raise payload_refused(error, ENVELOPE.remedy) from error
