"""A model as deciders hold it: immutable, versioned, scored in memory.

On the wire it is a header, one field per arm and one for the random features, so that a publish can carry what
changed alone. Our own
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
from numpy.typing import NDArray

from online_models.encoding import Encoder, EncoderState, FrozenEncoder
from online_models.feature_map import FeatureMap, feature_map
from online_models.floors import apply_floors
from online_models.linear_scorer import LinearScorer, noise_sd
from online_models.matching import Matching
from online_models.registry import POLICIES, WITHOUT_FLOORS
from online_models.reward_model import Estimates, Float32Array, FloatArray
from online_models.river_model import RiverModel
from personalization.distribution import ArmDistribution, quantise
from personalization.errors import Refused
from personalization.features import Features
from personalization.policy_spec import PolicySpec

FORMAT = 3
RANDOM_FEATURES = ""
"""The field of the random features, beside the arms' fields: no arm is called so."""

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
    """All of a linear snapshot but its arms and random features."""

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


class RandomField(msgspec.Struct, frozen=True, array_like=True):
    """The random features: directions (D, L) and phases (D,)."""

    touched: int
    directions: bytes
    phases: bytes


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
_RANDOM = msgspec.msgpack.Decoder(RandomField)


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
        return self.scorer.estimate(arms, features, arm_features)

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
        estimates = self.scorer.estimate_all(arms, contexts, arm_features)
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
        fields = {arm: _arm_field(scorer, row) for row, arm in enumerate(scorer.arms)}
        if len(scorer.features.phases):
            fields[RANDOM_FEATURES] = _random_field(scorer)
        return SnapshotParts(self._header(secret), fields)

    def changed_since(self, previous: ModelSnapshot, secret: bytes = b"") -> SnapshotDelta:
        """The header, and the arms and random features that changed after ``previous``."""
        scorer, before = self.scorer, previous.scorer
        arms: dict[str, bytes] = {}
        removed: list[str] = []
        if isinstance(scorer, LinearScorer):
            linear = before if isinstance(before, LinearScorer) else None
            comparable = linear if linear is not None and _shape(linear) == _shape(scorer) else None
            for row, arm in enumerate(scorer.arms):
                at = comparable.index.get(arm, -1) if comparable is not None else -1
                if comparable is None or at < 0 or comparable.touched[at] != scorer.touched[row]:
                    arms[arm] = _arm_field(scorer, row)
            if len(scorer.features.phases) and (
                comparable is None or comparable.features_touched != scorer.features_touched
            ):
                arms[RANDOM_FEATURES] = _random_field(scorer)
            if linear is not None:
                removed = [arm for arm in linear.arms if arm not in scorer.index]
                if len(linear.features.phases) and not len(scorer.features.phases):
                    removed.append(RANDOM_FEATURES)
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
        shape = (header.width, header.n_features, header.n_linear)
        if not isinstance(scorer, LinearScorer) or _shape(scorer) != shape:
            return _from_arrays(header, delta.arms)
        fields = dict(delta.arms)
        random = fields.pop(RANDOM_FEATURES, None)
        gone = set(delta.removed)
        kept = [arm for arm in scorer.arms if arm not in gone]
        arms = tuple(kept + [arm for arm in fields if arm not in scorer.index])
        source = np.array([scorer.index.get(arm, 0) for arm in arms], dtype=np.intp)
        table = _Table.empty(header, len(arms))
        if len(scorer.arms):
            table.weights[:], table.n[:], table.touched[:] = (
                scorer.weights[source],
                scorer.n[source],
                scorer.touched[source],
            )
            before = scorer.arm_features
            if before is not None and before.shape[1] == table.features.shape[1]:
                table.features[:] = before[source]
        index = {arm: row for row, arm in enumerate(arms)}
        for arm, data in fields.items():
            table.fill(index[arm], data)
        if random is not None:
            return _linear(header, arms, table, _random(random, header.n_linear))
        return _linear(
            header, arms, table, (scorer.features_touched, scorer.features.directions, scorer.features.phases)
        )

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
            arm_encoder = scorer.arm_encoder
            header = ArraysHeader(
                FORMAT,
                self.model,
                self.version,
                low,
                high,
                scorer.features.encoder.state(),
                arm_encoder.state() if arm_encoder is not None else None,
                scorer.weights.shape[1],
                scorer.weights.shape[2],
                scorer.features.width,
                scorer.features.linear,
                scorer.features.amplitude,
                scorer.prior_variance,
                scorer.offset,
                scorer.noise,
                scorer.optimism,
                scorer.base.tobytes() if scorer.base is not None else None,
                scorer.matching,
                scorer.slopes.tobytes() if scorer.slopes is not None else None,
            )
        return msgspec.msgpack.encode(header)


def version_of(header: bytes) -> int:
    """The version a header speaks of, without loading the rest."""
    version: int = _HEADER.decode(header).version
    return version


def _mac(secret: bytes, river_version: str, version: int, payload: bytes) -> bytes:
    return hmac.digest(secret, f"{FORMAT}|{river_version}|{version}|".encode() + payload, hashlib.sha256)


def _prior_scorer() -> LinearScorer:
    return LinearScorer(
        feature_map(Encoder().freeze(), 1, 1.0, 0.0, 0, None, 0),
        (),
        np.zeros((0, 2, 2), np.float32),
        np.zeros(0),
        np.zeros(0, np.int64),
        prior_variance=1.0,
        offset=0.0,
        noise=noise_sd(0, 0),
        optimism=1.0,
    )


def _shape(scorer: LinearScorer) -> tuple[int, int, int]:
    """What two scorers must agree in for one's arms to stand beside the other's."""
    return (*scorer.weights.shape[1:], scorer.features.width)


@dataclass(frozen=True, slots=True)
class _Table:
    """The arrays of all arms."""

    weights: Float32Array
    n: FloatArray
    touched: NDArray[np.int64]
    features: Float32Array

    @classmethod
    def empty(cls, header: ArraysHeader, n_arms: int) -> _Table:
        n_arm_features = 0
        if header.base is not None:
            n_arm_features = len(header.base) // 4 // (1 + header.n_linear) - 1
        return cls(
            np.zeros((n_arms, header.width, header.n_features), np.float32),
            np.zeros(n_arms),
            np.zeros(n_arms, np.int64),
            np.zeros((n_arms, n_arm_features), np.float32),
        )

    def fill(self, row: int, data: bytes) -> None:
        field = _ARM.decode(data)
        self.touched[row], self.n[row] = field.touched, field.n
        self.weights[row] = np.frombuffer(field.weights, np.float32).reshape(self.weights.shape[1:])
        if self.features.shape[1]:
            self.features[row] = np.frombuffer(field.features, np.float32)


_Random: TypeAlias = tuple[int, Float32Array, Float32Array]
"""When the random features last changed, their directions and phases."""


def _arm_field(scorer: LinearScorer, row: int) -> bytes:
    features = scorer.arm_features[row].tobytes() if scorer.arm_features is not None else b""
    return msgspec.msgpack.encode(
        ArmField(int(scorer.touched[row]), float(scorer.n[row]), scorer.weights[row].tobytes(), features)
    )


def _random_field(scorer: LinearScorer) -> bytes:
    features = scorer.features
    return msgspec.msgpack.encode(
        RandomField(scorer.features_touched, features.directions.tobytes(), features.phases.tobytes())
    )


def _random(data: bytes, width: int) -> _Random:
    field = _RANDOM.decode(data)
    phases = np.frombuffer(field.phases, np.float32)
    return field.touched, np.frombuffer(field.directions, np.float32).reshape(len(phases), width), phases


def _from_arrays(header: ArraysHeader, fields: Mapping[str, bytes]) -> ModelSnapshot:
    arms = tuple(arm for arm in fields if arm != RANDOM_FEATURES)
    table = _Table.empty(header, len(arms))
    for row, arm in enumerate(arms):
        table.fill(row, fields[arm])
    random = (0, np.zeros((0, header.n_linear), np.float32), np.zeros(0, np.float32))
    if RANDOM_FEATURES in fields:
        random = _random(fields[RANDOM_FEATURES], header.n_linear)
    return _linear(header, arms, table, random)


def _linear(header: ArraysHeader, arms: tuple[str, ...], table: _Table, random: _Random) -> ModelSnapshot:
    touched, directions, phases = random
    if header.n_features != 1 + header.n_linear + len(phases):
        raise Refused("the snapshot's random features do not fit its arms: read the whole snapshot")
    base = None
    if header.base is not None:
        base = np.frombuffer(header.base, np.float32).reshape(-1, 1 + header.n_linear)
    scorer = LinearScorer(
        FeatureMap(
            FrozenEncoder.from_state(header.encoder),
            header.n_linear,
            header.linear,
            directions,
            phases,
            header.amplitude,
        ),
        arms,
        table.weights,
        table.n,
        table.touched,
        prior_variance=header.prior_variance,
        offset=header.offset,
        noise=header.noise,
        optimism=header.optimism,
        base=base,
        arm_features=table.features if base is not None else None,
        arm_encoder=FrozenEncoder.from_state(header.arm_encoder) if header.arm_encoder is not None else None,
        matching=header.matching,
        slopes=np.frombuffer(header.slopes, np.float32) if header.slopes is not None else None,
        features_touched=touched,
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
