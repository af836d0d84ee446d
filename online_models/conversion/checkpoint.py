"""Conversion models outside a process: authenticated, versioned, refused whole where anything does not fit.

Three kinds, one envelope: a learner's ``book``, a ``challenger`` to be entered, and what is ``served`` by deciders,
without what only training needs.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec
import river

from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import Contender
from personalization.errors import Refused
from personalization.features import Features

FORMAT = 2
MAGIC = b"nbcv"
COMPRESSION = 1
"""Tables are mostly zeros at first and never full: the fastest level gains nearly all."""

Kind: TypeAlias = Literal["book", "challenger", "served"]


class Envelope(msgspec.Struct, frozen=True):
    """Everything under the MAC.

    Attributes
    ----------
    version
        Of what is served: (generation, records learned) packed; 0 elsewhere.
    offsets
        Of a book: partition → first offset *not* trained yet.
    payload
        MessagePack, compressed; a River model within it is a pickle.
    """

    format: int
    river_version: str
    kind: Kind
    conversion: str
    version: int
    offsets: dict[int, int]
    payload: bytes


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
    envelope = _open(data, secret, "book", conversion)
    return Checkpoint(ConversionBook.load(_decoded(envelope.payload)), envelope.offsets)


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
    envelope = _open(data, secret, "served", conversion)
    contender = Contender.load(_decoded(envelope.payload))
    return Served(contender, envelope.conversion, envelope.version)


def digest(data: bytes) -> bytes:
    """Names bytes for good."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _seal(
    kind: Kind, conversion: str, version: int, offsets: dict[int, int], state: dict[str, Any], secret: bytes
) -> bytes:
    payload = zlib.compress(msgspec.msgpack.encode(state), COMPRESSION)
    envelope = Envelope(FORMAT, river.__version__, kind, conversion, version, offsets, payload)
    body = msgspec.msgpack.encode(envelope)
    return MAGIC + hmac.digest(secret, body, hashlib.sha256) + body


def _open(data: bytes, secret: bytes, kind: Kind, conversion: str | None) -> Envelope:
    if data[:4] != MAGIC or len(data) < 36:
        raise Refused("not a conversion model's checkpoint: keep the last good one")
    mac, body = data[4:36], data[36:]
    if not hmac.compare_digest(mac, hmac.digest(secret, body, hashlib.sha256)):
        raise Refused("the checkpoint is damaged or signed with another secret: keep the last good one")
    try:
        envelope = msgspec.msgpack.decode(body, type=Envelope)
    except msgspec.DecodeError as error:
        raise Refused(f"the checkpoint is of another release: replay the examples ({error})") from error
    if envelope.format != FORMAT:
        raise Refused(f"checkpoint format {envelope.format}, this release reads {FORMAT}: replay the examples")
    if envelope.river_version != river.__version__:
        raise Refused(
            f"the checkpoint is River {envelope.river_version}'s, here runs {river.__version__}: "
            "go back to that version or replay the examples"
        )
    if envelope.kind != kind:
        raise Refused(f"this is a conversion model's {envelope.kind}, not a {kind}")
    if conversion is not None and envelope.conversion != conversion:
        raise Refused(f"the checkpoint is of conversion {envelope.conversion!r}, not {conversion!r}")
    return envelope


def _decoded(payload: bytes) -> dict[str, Any]:
    state: dict[str, Any] = msgspec.msgpack.decode(zlib.decompress(payload))
    return state
