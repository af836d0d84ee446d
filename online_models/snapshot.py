"""A model as deciders hold it: immutable, versioned, scored in memory.

On the wire it is a header and one field per arm, so that a publish can carry the changed arms alone. Our own
models travel as arrays; any other River estimator as a pickle that is authenticated before it is loaded.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np
import river

from online_models.encoding import Encoder, EncoderState, FrozenEncoder
from online_models.floors import apply_floors
from online_models.linear_scorer import LinearScorer, noise_sd
from online_models.registry import POLICIES, WITHOUT_FLOORS
from online_models.reward_model import Estimates
from online_models.river_model import RiverModel
from personalization.distribution import ArmDistribution, quantise
from personalization.errors import Refused
from personalization.features import Features
from personalization.policy_spec import PolicySpec

FORMAT = 1
GENERATION_BITS = 40
"""Outcomes a generation may count before the next one's versions begin: 10¹²."""

Scorer: TypeAlias = LinearScorer | RiverModel


def pack_version(generation: int, n: int) -> int:
    """(lease generation, outcomes learned) as one ordered integer: a new generation always wins.

    >>> pack_version(2, 0) > pack_version(1, 10**9) > pack_version(1, 7)
    True
    """
    return (generation << GENERATION_BITS) | n


def unpack_version(version: int) -> tuple[int, int]:
    """The inverse of ``pack_version``."""
    return version >> GENERATION_BITS, version & ((1 << GENERATION_BITS) - 1)


class ArraysHeader(msgspec.Struct, frozen=True, tag="arrays"):
    """All of a linear snapshot but its arms."""

    format: int
    model: str
    version: int
    low: float
    high: float
    encoder: EncoderState
    width: int
    n_features: int
    prior_precision: float
    offset: float
    scale: float
    noise: float
    optimism: float


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
_ARM = msgspec.msgpack.Decoder(ArmField)


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A model frozen at one version.

    Attributes
    ----------
    model
        Its name in the catalog.
    version
        ``pack_version(generation, n)``; 0 is the prior.
    reward_range
        (low, high) of the placement's rewards: the model works on [0, 1].
    scorer
        Estimates all arms for a context.
    """

    model: str
    version: int
    reward_range: tuple[float, float]
    scorer: Scorer

    @classmethod
    def prior(cls, model: str = "default", reward_range: tuple[float, float] = (0.0, 1.0)) -> ModelSnapshot:
        """What a placement decides by before anything was learned: every arm the same, version 0."""
        return cls(model, 0, reward_range, _prior_scorer())

    def estimate(self, arms: Sequence[str], features: Features, arm_features: Any = None) -> Estimates:
        """Reward estimates of the ``arms`` on the scale [0, 1]."""
        return self.scorer.estimate(arms, features)

    def distribution(
        self,
        arms: Sequence[str],
        features: Features,
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> ArmDistribution:
        """The probability of every eligible arm: estimates → policy → floors → integers over 2³².

        Parameters
        ----------
        arms
            Ids of the K ≥ 1 eligible arms.
        features
            The context, raw, as it is logged.
        policy
            Checked before (``registry.check_policy``).
        arm_features
            Features of the arms themselves, by arm.
        """
        return self.distributions(arms, [features], policy=policy, arm_features=arm_features)[0]

    def distributions(
        self,
        arms: Sequence[str],
        contexts: Sequence[Features],
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> list[ArmDistribution]:
        """``distribution`` for B contexts with the same eligible arms: the same bits, at a fraction of the cost.

        With 20 arms nearly all of the time is what numpy takes per call, however much a call has to do.
        """
        estimates = self.scorer.estimate_all(arms, contexts)
        p = POLICIES[policy.name](estimates, policy)
        if policy.name not in WITHOUT_FLOORS:
            p = apply_floors(p, estimates, policy)
        low, high = self.reward_range
        mean, sd = estimates.mean, estimates.sd
        if (low, high) != (0.0, 1.0):
            mean, sd = low + mean * (high - low), sd * (high - low)
        return [
            ArmDistribution(estimates.arms, quantise(shares), tuple(means), tuple(sds), policy.name, self.version)
            for shares, means, sds in zip(p.tolist(), mean.tolist(), sd.tolist(), strict=True)
        ]

    # The wire

    def encode(self, secret: bytes = b"") -> SnapshotParts:
        """The whole snapshot; the ``secret`` authenticates what is not made of arrays."""
        scorer = self.scorer
        if isinstance(scorer, RiverModel):
            return SnapshotParts(self._header(secret), {})
        return SnapshotParts(
            self._header(secret), {arm: _arm_field(scorer, row) for row, arm in enumerate(scorer.arms)}
        )

    def changed_since(self, previous: ModelSnapshot, secret: bytes = b"") -> SnapshotDelta:
        """The header and the arms that changed after ``previous``."""
        scorer, before = self.scorer, previous.scorer
        arms: dict[str, bytes] = {}
        removed: list[str] = []
        if isinstance(scorer, LinearScorer):
            comparable = isinstance(before, LinearScorer) and before.weights.shape[1:] == scorer.weights.shape[1:]
            for row, arm in enumerate(scorer.arms):
                at = before.index.get(arm, -1) if isinstance(before, LinearScorer) and comparable else -1
                if at < 0 or before.touched[at] != scorer.touched[row]:  # type: ignore[union-attr]
                    arms[arm] = _arm_field(scorer, row)
            if isinstance(before, LinearScorer):
                removed = [arm for arm in before.arms if arm not in scorer.index]
        return SnapshotDelta(previous.version, self.version, self._header(secret), arms, removed)

    def apply(self, delta: SnapshotDelta, secret: bytes = b"") -> ModelSnapshot:
        """The next snapshot.

        Raises
        ------
        Refused
            Where the delta builds on another version: read the whole instead.
        """
        if delta.builds_on != self.version:
            raise Refused(f"the delta builds on {delta.builds_on}, here is {self.version}: read the whole snapshot")
        header = _HEADER.decode(delta.header)
        if isinstance(header, PickleHeader):
            return _from_pickle(header, secret)
        scorer = self.scorer
        shape = (header.width, header.n_features)
        if not isinstance(scorer, LinearScorer) or scorer.weights.shape[1:] != shape:
            return _from_arrays(header, delta.arms)
        gone = set(delta.removed)
        kept = [arm for arm in scorer.arms if arm not in gone]
        arms = tuple(kept + [arm for arm in delta.arms if arm not in scorer.index])
        source = np.array([scorer.index.get(arm, 0) for arm in arms], dtype=np.intp)
        if len(scorer.arms):
            weights, n, touched = scorer.weights[source], scorer.n[source], scorer.touched[source]
        else:
            weights, n, touched = _empty(len(arms), shape)
        index = {arm: row for row, arm in enumerate(arms)}
        for arm, data in delta.arms.items():
            _fill(weights, n, touched, index[arm], data)
        return _linear(header, arms, weights, n, touched)

    @classmethod
    def decode(cls, header: bytes, arms: Mapping[str, bytes], secret: bytes = b"") -> ModelSnapshot:
        """The inverse of ``encode``.

        Raises
        ------
        Refused
            For another format, another River version, or a payload the secret does not vouch for.
        """
        decoded = _HEADER.decode(header)
        if decoded.format != FORMAT:
            raise Refused(f"snapshot format {decoded.format}, this release reads {FORMAT}: upgrade both sides")
        if isinstance(decoded, PickleHeader):
            return _from_pickle(decoded, secret)
        return _from_arrays(decoded, arms)

    def _header(self, secret: bytes) -> bytes:
        low, high = self.reward_range
        scorer = self.scorer
        header: ArraysHeader | PickleHeader
        if isinstance(scorer, RiverModel):
            payload = scorer.dump()
            mac = _mac(secret, river.__version__, self.version, payload)
            header = PickleHeader(FORMAT, self.model, self.version, low, high, river.__version__, mac, payload)
        else:
            header = ArraysHeader(
                FORMAT,
                self.model,
                self.version,
                low,
                high,
                scorer.encoder.state(),
                scorer.weights.shape[1],
                scorer.weights.shape[2],
                scorer.prior_precision,
                scorer.offset,
                scorer.scale,
                scorer.noise,
                scorer.optimism,
            )
        return msgspec.msgpack.encode(header)


def version_of(header: bytes) -> int:
    """The version a header speaks of, without loading the rest."""
    version: int = _HEADER.decode(header).version
    return version


def _mac(secret: bytes, river_version: str, version: int, payload: bytes) -> bytes:
    return hmac.digest(secret, f"{FORMAT}|{river_version}|{version}|".encode() + payload, hashlib.sha256)


def _prior_scorer() -> LinearScorer:
    weights, n, touched = _empty(0, (2, 1))
    return LinearScorer(
        Encoder().freeze(),
        (),
        weights,
        n,
        touched,
        prior_precision=1.0,
        offset=0.0,
        scale=1.0,
        noise=noise_sd(0, 0),
        optimism=1.0,
    )


def _empty(n_arms: int, shape: tuple[int, int]) -> tuple[Any, Any, Any]:
    return np.zeros((n_arms, *shape), np.float32), np.zeros(n_arms), np.zeros(n_arms, np.int64)


def _arm_field(scorer: LinearScorer, row: int) -> bytes:
    return msgspec.msgpack.encode(
        ArmField(int(scorer.touched[row]), float(scorer.n[row]), scorer.weights[row].tobytes())
    )


def _fill(weights: Any, n: Any, touched: Any, row: int, data: bytes) -> None:
    field = _ARM.decode(data)
    touched[row], n[row] = field.touched, field.n
    weights[row] = np.frombuffer(field.weights, np.float32).reshape(weights.shape[1:])


def _from_arrays(header: ArraysHeader, fields: Mapping[str, bytes]) -> ModelSnapshot:
    arms = tuple(fields)
    weights, n, touched = _empty(len(arms), (header.width, header.n_features))
    for row, data in enumerate(fields.values()):
        _fill(weights, n, touched, row, data)
    return _linear(header, arms, weights, n, touched)


def _linear(header: ArraysHeader, arms: tuple[str, ...], weights: Any, n: Any, touched: Any) -> ModelSnapshot:
    scorer = LinearScorer(
        FrozenEncoder.from_state(header.encoder),
        arms,
        weights,
        n,
        touched,
        prior_precision=header.prior_precision,
        offset=header.offset,
        scale=header.scale,
        noise=header.noise,
        optimism=header.optimism,
    )
    return ModelSnapshot(header.model, header.version, (header.low, header.high), scorer)


def _from_pickle(header: PickleHeader, secret: bytes) -> ModelSnapshot:
    expected = _mac(secret, header.river_version, header.version, header.payload)
    if not hmac.compare_digest(expected, header.mac):
        raise Refused("the snapshot is not signed with this server's secret: give learner and API the same one")
    if header.river_version != river.__version__:
        raise Refused(
            f"the snapshot is River {header.river_version}'s, here runs {river.__version__}: use one version"
        )
    scorer = pickle.loads(header.payload)
    if not isinstance(scorer, RiverModel):
        raise Refused("the snapshot's payload is no reward model: publish it again from the learner")
    return ModelSnapshot(header.model, header.version, (header.low, header.high), scorer)
