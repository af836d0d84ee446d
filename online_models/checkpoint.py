"""A placement's learner at rest: its model in an ``Envelope``, and where in ``outcomes`` it goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from online_models.build import this_build
from online_models.envelope import Body, Envelope, payload_refused, river_version
from online_models.placement_model import PlacementModel
from online_models.reward_model import ARM
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import Refused

FORMAT = 5
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
    build
        What it was learned with last (``build``); empty: a release before wrote it.
    """

    schema_hash: bytes
    placement: str
    epoch: str
    generation: int
    n_learned: int
    offsets: dict[int, int]
    payload: bytes
    build: str = ""


ENVELOPE = Envelope(MAGIC, FORMAT, CheckpointBody, "a model checkpoint", "replay the outcomes")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint: the learner, where in ``outcomes`` it goes on, and what it was learned with."""

    model: PlacementModel
    offsets: dict[int, int]
    epoch: str
    generation: int
    build: str = ""


def dump(
    model: PlacementModel, offsets: Mapping[int, int], secret: bytes, *, generation: int = 0, epoch: str = ""
) -> bytes:
    """The checkpoint of ``model``, trained on every outcome before ``offsets`` (partition → next offset)."""
    body = CheckpointBody(
        FORMAT,
        river_version(holds_river=model.holds_river),
        _schema_hash(model),
        model.placement,
        epoch,
        generation,
        model.n_learned,
        dict(offsets),
        msgspec.msgpack.encode(model.dump()),
        this_build(),
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
        For damage, a foreign secret, another format or schema, another River version if there are River objects in
        it, or a payload that cannot be loaded for whatever reason. Nothing is unpickled before the MAC has been
        checked.
    """
    checkpoint = ENVELOPE.open(data, secret)
    if placement is not None and checkpoint.placement != placement:
        raise Refused(f"the checkpoint is of placement {checkpoint.placement!r}, not {placement!r}")
    if model is not None or reward_range is not None:
        state_range = reward_range or (0.0, 1.0)
        wanted = PlacementModel(checkpoint.placement, model or "default", state_range)
        if _schema_hash(wanted) != checkpoint.schema_hash:
            raise Refused("the checkpoint is of another model, parameters or reward range: replay the outcomes")
    return _loaded(checkpoint)


def verify(data: bytes, secret: bytes) -> Checkpoint:
    """Load back what was just dumped: a checkpoint counts as good once it was.

    A model of arrays must also be the same again, bit for bit; River's pickles may differ and mean the same, so
    that one of those must load and answer. The default model with 160 features and 10 arms takes 17–22 ms, a forest
    of River's three times what ``dump`` took.

    Raises
    ------
    Refused
        As ``load`` does, and if what was loaded is not what was dumped.
    """
    body = ENVELOPE.open(data, secret)
    loaded = _loaded(body)
    model = loaded.model
    if model.holds_river:
        model.model.predict_one({ARM: next(iter(model.arms), "")})
    elif msgspec.msgpack.encode(model.dump()) != body.payload:
        raise Refused("the checkpoint does not load back as it was dumped: keep the last good one")
    return loaded


def _loaded(body: CheckpointBody) -> Checkpoint:
    try:
        loaded = PlacementModel.load(msgspec.msgpack.decode(body.payload))
    except Exception as error:
        raise payload_refused(error, ENVELOPE.remedy) from error
    if _schema_hash(loaded) != body.schema_hash:
        raise Refused("the checkpoint's payload is not what its schema says: replay the outcomes")
    return Checkpoint(loaded, body.offsets, body.epoch, body.generation, body.build)


def _schema_hash(model: PlacementModel) -> bytes:
    return hashlib.blake2b(model.schema().encode(), digest_size=16).digest()
