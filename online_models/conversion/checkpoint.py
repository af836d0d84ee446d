"""A conversion model on disk: authenticated, versioned, refused whole where anything does not fit."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import msgspec
import river

from online_models.conversion.model import ConversionModel
from online_models.conversion.registry import ConversionModelImpl
from online_models.conversion.river_classifier import RiverClassifier
from personalization.errors import Refused

FORMAT = 1
MAGIC = b"nbcv"
OURS, RIVER = "default", "river"


class CheckpointBody(msgspec.Struct, frozen=True):
    """Everything under the MAC: ``payload`` is MessagePack for ours and a pickle for River's."""

    format: int
    river_version: str
    kind: str
    score: str
    offsets: dict[int, int]
    payload: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint: the model of ``score``, trained on every example before ``offsets``."""

    model: ConversionModelImpl
    score: str
    offsets: dict[int, int]


def dump(model: ConversionModelImpl, score: str, offsets: dict[int, int], secret: bytes) -> bytes:
    """The checkpoint of the model behind ``score`` (its name in the catalog)."""
    dumped = model.dump()
    kind, payload = (RIVER, dumped) if isinstance(dumped, bytes) else (OURS, msgspec.msgpack.encode(dumped))
    body = msgspec.msgpack.encode(CheckpointBody(FORMAT, river.__version__, kind, score, offsets, payload))
    return MAGIC + hmac.digest(secret, body, hashlib.sha256) + body


def load(data: bytes, secret: bytes, *, score: str | None = None) -> Checkpoint:
    """The inverse of ``dump``.

    Raises
    ------
    Refused
        For damage, a foreign secret, another format, River version or score. Nothing is unpickled before the MAC
        has been checked.
    """
    if data[:4] != MAGIC or len(data) < 36:
        raise Refused("not a conversion model's checkpoint: keep the last good one")
    mac, body = data[4:36], data[36:]
    if not hmac.compare_digest(mac, hmac.digest(secret, body, hashlib.sha256)):
        raise Refused("the checkpoint is damaged or signed with another secret: keep the last good one")
    checkpoint = msgspec.msgpack.decode(body, type=CheckpointBody)
    if checkpoint.format != FORMAT:
        raise Refused(f"checkpoint format {checkpoint.format}, this release reads {FORMAT}: replay the examples")
    if checkpoint.river_version != river.__version__:
        raise Refused(
            f"the checkpoint is River {checkpoint.river_version}'s, here runs {river.__version__}: "
            "go back to that version or replay the examples"
        )
    if score is not None and checkpoint.score != score:
        raise Refused(f"the checkpoint is of score {checkpoint.score!r}, not {score!r}")
    model: ConversionModelImpl
    if checkpoint.kind == OURS:
        model = ConversionModel.load(msgspec.msgpack.decode(checkpoint.payload))
    else:
        model = RiverClassifier.load(checkpoint.payload)
    return Checkpoint(model, checkpoint.score, checkpoint.offsets)
