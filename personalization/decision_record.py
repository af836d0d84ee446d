"""The full record of a decision: enough to explain it, to evaluate another policy on it, and to recompute it."""

from __future__ import annotations

import struct
from functools import lru_cache

import msgspec

from personalization.catalog import Content
from personalization.compiled import CompiledCatalog
from personalization.decision_id import derived_nonce, mint
from personalization.distribution import SCALE, ArmDistribution, ticket
from personalization.errors import InvalidInput
from personalization.features import FeatureValue, flat
from personalization.scorer import Scorer


class EligibleArm(msgspec.Struct, frozen=True):
    """One arm that could have been chosen: the model's estimate (float32) and its probability over 2³²."""

    arm: str
    mean: float
    sd: float
    weight: int


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One decision as written to the topic ``decisions``.

    Attributes
    ----------
    key
        The visitor's.
    weight
        Of the arm chosen, an integer over 2³².
    arms, weights, means_f32, sds_f32
        The eligible arms and what the model said of them (see ``eligible``); float32, little endian.
    filtered
        The other arms, with the reason.
    above
        Arms of this call placed before this slot: the weights are given them.
    features
        As the model saw them.
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
    """

    decision_id: str
    message_id: str
    request_id: str
    key: str
    placement: str
    slot: int
    arm: str
    weight: int
    tier: str
    reason: str
    policy: str
    decided_at_ms: int
    catalog_version: int
    model_version: int = 0
    arms: tuple[str, ...] = ()
    weights: tuple[int, ...] = ()
    means_f32: bytes = b""
    sds_f32: bytes = b""
    filtered: dict[str, str] = {}
    above: tuple[str, ...] = ()
    features: dict[str, FeatureValue] = {}
    state_revision: int | None = None
    state_age_ms: int | None = None
    ticket: int | None = None
    session: int = 0
    exposed: bool = True
    holdout: bool = False
    sticky: bool = False
    trains: bool = True
    unit: bytes = b""
    replaces: str = ""

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
        raise InvalidInput("record", f"not a decision record: {error}", "bad_record") from error


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


def draw_name(decision_id: str, *, sticky: bool, unit: bytes, placement: str, slot: int, replaces: str) -> str:
    """What the draw hashes: the decision id, or, for a sticky choice, what agreeing calls agree on.

    No time and no session stands in it, and the choice that is replaced does: so no ticket is used twice.
    """
    if not sticky:
        return decision_id
    return "\x1f".join(("sticky", unit.hex(), placement, str(slot), replaces or "-"))


def sticky_decision_id(
    secret: bytes, *, key: str, unit: bytes, placement: str, slot: int, replaces: str, arm: str
) -> str:
    """The id of a sticky choice: calls that agree on all but the key share its nonce, and are one trial."""
    nonce = derived_nonce(secret, unit.hex(), placement, str(slot), replaces or "-", arm)
    return mint(secret, key, nonce)


class Recomputed(msgspec.Struct, frozen=True):
    """A decision made again from its record."""

    arm: str
    ticket: int
    distribution: ArmDistribution


def recompute(record: DecisionRecord, catalog: CompiledCatalog, scorer: Scorer, secret: bytes) -> Recomputed:
    """Make a drawn decision again: same catalog and model versions, same features, same draw.

    Parameters
    ----------
    catalog, scorer
        Of the versions the record names.

    Raises
    ------
    InvalidInput
        Where the versions differ, or the record is of a choice that nothing was drawn for.
    """
    if record.catalog_version != catalog.version:
        raise InvalidInput("catalog_version", f"the record needs catalog {record.catalog_version}")
    if record.ticket is None:
        raise InvalidInput("ticket", "nothing was drawn for this decision")
    spec = catalog.catalog.placements[record.placement]
    if record.holdout:
        distribution = uniform(record.arms, "uniform")
    else:
        distribution = scorer.distribution(
            record.arms,
            record.features,
            policy=spec.policy,
            arm_features=features_by_arm(catalog.catalog.content, spec.content),
        )
        if distribution.model_version != record.model_version:
            raise InvalidInput("model_version", f"the record needs model {record.model_version}")
    name = draw_name(
        record.decision_id,
        sticky=record.sticky,
        unit=record.unit,
        placement=record.placement,
        slot=record.slot,
        replaces=record.replaces,
    )
    drawn = ticket(secret, name)
    return Recomputed(distribution.arms[distribution.draw(drawn)], drawn, distribution)


def features_by_arm(
    content: dict[str, Content], arms: tuple[str, ...]
) -> dict[str, dict[str, FeatureValue]] | None:
    """What the model is told of the arms; None where the catalog says nothing of any of them."""
    found = {arm: flat(content[arm].features) for arm in arms if content[arm].features}
    return found or None


def uniform(arms: tuple[str, ...], policy: str) -> ArmDistribution:
    """Every arm alike; the remainder of 2³² goes to the first ones.

    >>> uniform(("a", "b", "c"), "uniform").weights
    (1431655766, 1431655765, 1431655765)
    """
    share, rest = divmod(SCALE, len(arms))
    zeros = (0.0,) * len(arms)
    weights = tuple(share + (index < rest) for index in range(len(arms)))
    return ArmDistribution(arms, weights, zeros, zeros, policy, 0)
