"""A placement's learner at rest: its model in an ``Envelope``, and where in ``outcomes`` it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import river

from online_models.envelope import Body, Envelope
from online_models.placement_model import PlacementModel
from personalization.errors import Refused
from personalization.policy_spec import ModelSpec

FORMAT = 4
MAGIC = b"nbck"


class CheckpointBody(Body, frozen=True):
    """A placement's learner.

    Attributes
    ----------
    schema_hash
        Of placement, model, parameters and reward scale: what the payload means.
    offsets
        Partition → first offset *not* trained yet.
    payload
        ``PlacementModel.dump()`` in MessagePack.
    """

    schema_hash: bytes
    placement: str
    epoch: str
    generation: int
    n_learned: int
    offsets: dict[int, int]
    payload: bytes


ENVELOPE = Envelope(MAGIC, FORMAT, CheckpointBody, "a model checkpoint", "replay the outcomes")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint: the learner, and where in ``outcomes`` it goes on."""

    model: PlacementModel
    offsets: dict[int, int]
    epoch: str
    generation: int


def dump(
    model: PlacementModel, offsets: Mapping[int, int], secret: bytes, *, generation: int = 0, epoch: str = ""
) -> bytes:
    """The checkpoint of ``model``, trained on every outcome before ``offsets`` (partition → next offset)."""
    body = CheckpointBody(
        FORMAT,
        river.__version__,
        _schema_hash(model),
        model.placement,
        epoch,
        generation,
        model.n_learned,
        dict(offsets),
        msgspec.msgpack.encode(model.dump()),
    )
    return ENVELOPE.seal(body, secret)


def load(
    data: bytes,
    secret: bytes,
    *,
    placement: str | None = None,
    model: ModelSpec | str | None = None,
    reward_range: tuple[float, float] | None = None,
) -> Checkpoint:
    """The inverse of ``dump``.

    Parameters
    ----------
    placement, model, reward_range
        Where given, what the catalog says now: a checkpoint of another model is refused.

    Raises
    ------
    Refused
        For damage, a foreign secret, another format or River version, or another schema. Nothing is unpickled
        before the MAC has been checked.
    """
    checkpoint = ENVELOPE.open(data, secret)
    if placement is not None and checkpoint.placement != placement:
        raise Refused(f"the checkpoint is of placement {checkpoint.placement!r}, not {placement!r}")
    if model is not None or reward_range is not None:
        state_range = reward_range or (0.0, 1.0)
        wanted = PlacementModel(checkpoint.placement, model or "default", state_range)
        if _schema_hash(wanted) != checkpoint.schema_hash:
            raise Refused("the checkpoint is of another model, parameters or reward range: replay the outcomes")
    loaded = PlacementModel.load(msgspec.msgpack.decode(checkpoint.payload))
    if _schema_hash(loaded) != checkpoint.schema_hash:
        raise Refused("the checkpoint's payload is not what its schema says: replay the outcomes")
    return Checkpoint(loaded, checkpoint.offsets, checkpoint.epoch, checkpoint.generation)


def _schema_hash(model: PlacementModel) -> bytes:
    return hashlib.blake2b(model.schema().encode(), digest_size=16).digest()
