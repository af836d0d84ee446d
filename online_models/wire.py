"""A snapshot on the wire: a header, one field per arm, and one for the landmarks.

So a publish can carry what changed alone. Our own models travel as arrays (``linear_wire``); any other River
estimator as a pickle that is authenticated before it is loaded (``river_wire``).
"""

from __future__ import annotations

from typing import Any

import msgspec

from online_models.adaptive.matching import Matching
from online_models.frozen_encoder import EncoderState
from personalization.errors import Refused

FORMAT = 4
LANDMARKS = ""
"""The field of the landmarks, beside the arms' fields: no arm is called so."""


class ArraysHeader(msgspec.Struct, frozen=True, tag="arrays"):
    """All of a linear snapshot but its arms and landmarks."""

    format: int
    model: str
    version: int
    low: float
    high: float
    encoder: EncoderState
    arm_encoder: EncoderState | None
    width: int
    n_features: int
    n_linear: int
    linear: float
    amplitude: float
    prior_variance: float
    offset: float
    noise: float
    optimism: float
    base: bytes | None
    matching: Matching | None
    slopes: bytes | None


class PickleHeader(msgspec.Struct, frozen=True, tag="pickle"):
    """A River estimator, authenticated."""

    format: int
    model: str
    version: int
    low: float
    high: float
    river_version: str
    mac: bytes
    payload: bytes


class ArmField(msgspec.Struct, frozen=True, array_like=True):
    """One arm of a linear snapshot."""

    touched: int
    n: float
    weights: bytes
    features: bytes


class LandmarksField(msgspec.Struct, frozen=True, array_like=True):
    """The landmarks: see ``Landmarks``."""

    touched: int
    landmarks: dict[str, Any]


class SnapshotParts(msgspec.Struct, frozen=True):
    """A snapshot as bytes: what ``model:{placement}`` holds."""

    header: bytes
    arms: dict[str, bytes]


class SnapshotDelta(msgspec.Struct, frozen=True):
    """What changed between two versions; it fits no other base than ``builds_on``."""

    builds_on: int
    version: int
    header: bytes
    arms: dict[str, bytes]
    removed: list[str] = []

    def to_bytes(self) -> bytes:
        """For pub/sub."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> SnapshotDelta:
        """The inverse of ``to_bytes``."""
        return msgspec.msgpack.decode(data, type=cls)


_HEADER = msgspec.msgpack.Decoder(ArraysHeader | PickleHeader)


def decode_header(data: bytes) -> ArraysHeader | PickleHeader:
    """The header back; raises ``Refused`` for another format."""
    header: ArraysHeader | PickleHeader = _HEADER.decode(data)
    if header.format != FORMAT:
        raise Refused(f"snapshot format {header.format}, this release reads {FORMAT}: upgrade both sides")
    return header


def version_of(header: bytes) -> int:
    """The version a header speaks of, without loading the rest."""
    version: int = _HEADER.decode(header).version
    return version
