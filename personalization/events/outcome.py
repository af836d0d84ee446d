"""An outcome: a closed decision with its total reward, what a model learns from."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from personalization.data_cipher import unreadable
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice


class ClosingReason(StrEnum):
    """Why a decision was closed."""

    WINDOW = "window"
    """Its reward window ended."""
    FINAL = "final"
    """The caller said nothing more will come."""
    EVICTED = "evicted"
    """The visitor had too many open decisions; this one was drawn to go. Not trained: the others count for it."""
    WITHDRAWN = "withdrawn"
    """The visitor refused: closed without features, and not trained."""
    UNEXPOSED = "unexposed"
    """It was never shown. Not trained."""


EARNED = frozenset({ClosingReason.WINDOW, ClosingReason.FINAL})
"""Closed with all that they earned, when that was decided beforehand: what is learned from, and compared."""


USUAL_RANGE, USUAL_WEIGHT = (0.0, 1.0), 1.0
"""An outcome that has these very objects is stored without them: whether others are equal, msgspec does not ask."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """One closed decision.

    Attributes
    ----------
    choice
        What was chosen. The decision's id is also the outcome's own: a decision closes once.
    features
        As logged at decision time.
    arm_features
        The chosen arm's own features, as logged.
    reward
        Total, within the placement's ``reward_range``.
    trains
        False for holdout, fallback tiers and decisions never exposed.
    training_weight
        How many decisions of its visitor this one stands for: itself, and its share of those that were closed for
        want of room. That choice falls on long visits, so the model counts by it.
    sample_weight
        How many outcomes this one stands for: itself, those of its visitor that were closed for want of room, and
        those that were not kept above the log's capacity.
    unit
        8-byte hash of the person: what intervals are clustered by, and influence is bounded by.
    key_class
        First letter of the visitor's key when it was decided: ``a`` anonymous, ``u`` registered; empty: not known.
    by, origin
        Of the sender of the decision, see ``personalization.events.entry.Sender``.
    rules
        8-byte hash of the reward rules it was decided under; empty: not known.
    shown_by_reward
        Only a reward says that it was shown: of such decisions none is known that failed.
    free
        The catalog bounds nobody's influence.
    predicted
        The reward that the model expected when a policy chose by it; None: none did.
    reward_range
        What the reward is clipped to; stored only with a prediction, which alone is compared to it.
    trace
        The recorded trace of the decision, see ``personalization.events.entry.Entry``; empty: none was recorded.
    """

    choice: Choice
    reward: float
    reason: ClosingReason
    decided_at_ms: int
    closed_at_ms: int
    exposed_at_ms: int | None = None
    n_rewards: int = 0
    features: dict[str, FeatureValue] = {}
    arm_features: dict[str, FeatureValue] = {}
    trains: bool = True
    training_weight: float = USUAL_WEIGHT
    sample_weight: float = USUAL_WEIGHT
    unit: bytes = b""
    key_class: str = ""
    by: str = ""
    origin: bytes = b""
    rules: bytes = b""
    shown_by_reward: bool = False
    free: bool = False
    predicted: float | None = None
    reward_range: tuple[float, float] = USUAL_RANGE
    trace: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Outcome)


def encode_outcome(outcome: Outcome) -> bytes:
    """The outcome as the log stores it (msgpack)."""
    return _encoder.encode(outcome)


def decode_outcome(data: bytes) -> Outcome:
    """The outcome back.

    Raises
    ------
    InvalidInput
        Where the bytes are no outcome: permanently bad, for the dead letters.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "outcome", f"not an outcome: {error}", "bad_outcome") from error
