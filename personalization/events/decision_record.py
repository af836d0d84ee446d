"""The full record of a decision: enough to explain it, to evaluate another policy on it, and to make it again."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from personalization.data_cipher import unreadable
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice


class EligibleArm(msgspec.Struct, frozen=True):
    """One arm that could have been chosen: the model's estimate (float32) and its probability over 2³²."""

    arm: str
    mean: float
    sd: float
    weight: int


class Agreed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """By which word a visitor agreed to a purpose.

    Attributes
    ----------
    at_ms
        When it was said; of what the request itself says, when that came.
    verified
        Whether whoever said it proved to be the visitor, or was a server.
    receipt
        The record id of the consent receipt that the request brought for it; empty: it stands in the visitor's
        state, under the same time, or in the request.
    """

    at_ms: int
    verified: bool = False
    receipt: str = ""


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One decision as written to the topic ``decisions``.

    Attributes
    ----------
    key
        The visitor's.
    arms, weights, means_f32, sds_f32
        The eligible arms and what the model said of them (see ``eligible``); float32, little endian. Of an
        apprentice the weights are its policy's, by which it did not choose: ``choice.weight`` is what it did.
    filtered
        The other arms, with the reason.
    above
        Arms of this call placed before this slot: the weights are given them.
    features
        As the model saw them.
    arm_features
        What the model was told of arms that no version of the catalog has: items, and what callers bring.
    state_revision, state_age_ms
        Of the visitor state read; None where it could not be.
    ticket
        The keyed hash drawn with, in [0, 2³²); None where nothing was drawn.
    session
        Number of the visitor's session, events of the request included.
    unit
        Of the person, what the draw of a sticky choice is named by (``VisitorState.unit``).
    replaces
        The trial of the choice that this sticky one replaces; empty: the first of its slot.
    crawler
        It was made for a program that reads pages, and trains nothing.
    agreed
        The words of consent that it was made by, by purpose. A purpose that the placement needs and that is not
        here was granted by the source's ``consent_default``: nobody said anything of it.
    trace
        The recorded trace of its request, see ``personalization.events.entry.Entry``; empty: none was recorded.
    answered_as
        What the answer called the request (``x-request-id``), where that is not ``request_id``.
    """

    choice: Choice
    message_id: str
    request_id: str
    key: str
    tier: str
    reason: str
    decided_at_ms: int
    arms: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    means_f32: bytes = b""
    sds_f32: bytes = b""
    filtered: dict[str, str] = {}
    above: tuple[str, ...] = ()
    features: dict[str, FeatureValue] = {}
    arm_features: dict[str, Mapping[str, FeatureValue]] = {}
    state_revision: int | None = None
    state_age_ms: int | None = None
    ticket: int | None = None
    session: int = 0
    exposed: bool = True
    sticky: bool = False
    trains: bool = True
    unit: bytes = b""
    replaces: str = ""
    crawler: bool = False
    agreed: dict[str, Agreed] = {}
    trace: bytes = b""
    answered_as: str = ""

    def eligible(self) -> list[EligibleArm]:
        """The eligible arms, in order."""
        means, sds = unpack_f32(self.means_f32), unpack_f32(self.sds_f32)
        means = means or (0.0,) * len(self.arms)
        sds = sds or (0.0,) * len(self.arms)
        return [EligibleArm(*row) for row in zip(self.arms, means, sds, self.weights, strict=True)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DecisionRecord)


def encode_record(record: DecisionRecord) -> bytes:
    """The record as logged (msgpack)."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> DecisionRecord:
    """The record back; raises ``InvalidInput`` where the bytes are something else."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "record", f"not a decision record: {error}", "bad_record") from error


def pack_f32(numbers: tuple[float, ...]) -> bytes:
    """Numbers as float32, little endian on every machine we run on.

    >>> unpack_f32(pack_f32((0.5, 2.0)))
    (0.5, 2.0)
    """
    return _floats(len(numbers)).pack(*numbers)


def unpack_f32(data: bytes) -> tuple[float, ...]:
    """The inverse of ``pack_f32``."""
    return _floats(len(data) // 4).unpack(data)


@lru_cache(1024)
def _floats(n_numbers: int) -> struct.Struct:
    return struct.Struct(f"<{n_numbers}f")
