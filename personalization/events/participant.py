"""A participant: what a visitor did within the horizon of a placement's experiment, told once it has closed.

It names nobody: of persons experiments need to know only how many there were, on which side, and what came of them.
"""

from __future__ import annotations

import msgspec

from personalization.catalog.split import EXPERIMENT_KEY
from personalization.data_cipher import unreadable


class Participant(msgspec.Struct, frozen=True, omit_defaults=True, tag="participant"):
    """One visitor in one experiment.

    Attributes
    ----------
    participant_id
        Derived from the entry by which they came in: the same whoever folds it.
    side
        Where they were at their first exposure: ``control``, a variant, or empty for the placement as written.
    split
        The probability of each side then.
    first_ms, closed_at_ms
        Their first exposure, and when the horizon after it had ended.
    horizon_ms
        How long they were watched.
    values
        By metric, what came after the first exposure: 1 of a share, else an amount, at most its cap. 0 if absent.
    before
        By metric, what had come before it.
    after_ms
        By share, how long after the first exposure it came.
    segments
        Those that they were in at their first exposure.
    cost
        What was shown to them cost.
    crossover
        Whether they saw another side as well: a log-in showed two visitors to be one.
    """

    participant_id: str
    placement: str
    side: str
    split: dict[str, float]
    first_ms: int
    closed_at_ms: int
    horizon_ms: int
    values: dict[str, float] = {}
    before: dict[str, float] = {}
    after_ms: dict[str, int] = {}
    segments: list[str] = []
    cost: float = 0.0
    crossover: bool = False


def experiment_key(placement: str) -> str:
    """The key of a placement's participants in ``outcomes``.

    >>> experiment_key("home.hero"), is_experiment("experiment:home.hero"), is_experiment("home.hero")
    ('experiment:home.hero', True, False)
    """
    return EXPERIMENT_KEY + placement


def is_experiment(key: str) -> bool:
    """Whether participants stand under ``key``: nothing that a model learns from."""
    return key.startswith(EXPERIMENT_KEY)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Participant)


def encode_participant(participant: Participant) -> bytes:
    """The participant as the log stores it (msgpack)."""
    return _encoder.encode(participant)


def decode_participant(data: bytes) -> Participant:
    """The participant back.

    Raises
    ------
    InvalidInput
        Where the bytes are no participant: permanently bad.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "participant", f"not a participant: {error}", "bad_participant") from error
