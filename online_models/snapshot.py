"""A model as deciders hold it: immutable, versioned, scored in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np

from online_models import river_wire
from online_models.adaptive import linear_wire
from online_models.adaptive.feature_map import feature_map
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.encoder import Encoder
from online_models.noise import coin_sd
from online_models.policies.floors import apply_floors
from online_models.policies.linucb import linucb
from online_models.policies.linucb_one import FEW_ARMS, linucb_with_floors
from online_models.registry import POLICIES, WITHOUT_FLOORS
from online_models.reward_model import Estimates
from online_models.river_model import RiverModel
from online_models.wire import ArraysHeader, PickleHeader, SnapshotDelta, SnapshotParts, decode_header
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import ArmDistribution, quantise, quantise_all
from personalization.errors import Refused
from personalization.explaining.contributions import Contributions
from personalization.features import Features

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
        shares = weights_of(estimates, policy)
        low, high = self.reward_range
        mean, sd = estimates.mean, estimates.sd
        if (low, high) != (0.0, 1.0):
            mean, sd = low + mean * (high - low), sd * (high - low)
        return [
            ArmDistribution(estimates.arms, weights, tuple(means), tuple(sds), policy.name, self.version)
            for weights, means, sds in zip(shares, mean.tolist(), sd.tolist(), strict=True)
        ]

    def contributions(
        self, arm: str, features: Features, arm_features: Mapping[str, Features] | None = None
    ) -> Contributions:
        """Take the estimate of one arm in this context apart by feature, in reward units: a millisecond or two."""
        from online_models.contributions import contributions_of  # deciding needs none of it

        return contributions_of(self.scorer, arm, features, arm_features, self.reward_range)

    # The wire

    def encode(self, secret: bytes = b"") -> SnapshotParts:
        """The whole snapshot; the ``secret`` authenticates what is not made of arrays."""
        scorer = self.scorer
        fields = linear_wire.fields_of(scorer) if isinstance(scorer, LinearScorer) else {}
        return SnapshotParts(self._header(secret), fields)

    def changed_since(self, previous: ModelSnapshot, secret: bytes = b"") -> SnapshotDelta:
        """The header, and the arms and landmarks that changed after ``previous``."""
        scorer, before = self.scorer, previous.scorer
        fields: dict[str, bytes] = {}
        removed: list[str] = []
        if isinstance(scorer, LinearScorer):
            linear = before if isinstance(before, LinearScorer) else None
            fields, removed = linear_wire.changed_fields(scorer, linear)
        return SnapshotDelta(previous.version, self.version, self._header(secret), fields, removed)

    def apply(self, delta: SnapshotDelta, secret: bytes = b"") -> ModelSnapshot:
        """The next snapshot.

        Raises
        ------
        Refused
            Where the delta builds on another version: read the whole instead.
        """
        if delta.builds_on != self.version:
            raise Refused(f"the delta builds on {delta.builds_on}, here is {self.version}: read the whole snapshot")
        header, scorer = decode_header(delta.header), self.scorer
        if isinstance(header, ArraysHeader) and isinstance(scorer, LinearScorer):
            return _snapshot(header, linear_wire.scorer_after(scorer, header, delta))
        return _decoded(header, delta.arms, secret)

    @classmethod
    def decode(cls, header: bytes, arms: Mapping[str, bytes], secret: bytes = b"") -> ModelSnapshot:
        """The inverse of ``encode``.

        Raises
        ------
        Refused
            For another format, another River version, or a payload the secret does not vouch for.
        """
        return _decoded(decode_header(header), arms, secret)

    def _header(self, secret: bytes) -> bytes:
        scorer = self.scorer
        header: ArraysHeader | PickleHeader
        if isinstance(scorer, RiverModel):
            header = river_wire.header_of(scorer, self.model, self.version, self.reward_range, secret)
        else:
            header = linear_wire.header_of(scorer, self.model, self.version, self.reward_range)
        return msgspec.msgpack.encode(header)


MANY_ROWS = 6
"""From so many on, what numpy takes per call is less than what Python takes per arm."""


def weights_of(estimates: Estimates, policy: PolicySpec) -> list[tuple[int, ...]]:
    """The probabilities of B contexts, with floors where the policy has some: B times K integers over 2³²."""
    decide = POLICIES[policy.name]
    if decide is linucb and len(estimates.mean) == 1 and len(estimates.arms) <= FEW_ARMS:
        mean, sd = estimates.mean[0].tolist(), estimates.sd[0].tolist()
        p = linucb_with_floors(mean, sd, estimates.n.tolist(), estimates.noise_sd, policy)
        if p is not None:
            return [quantise(p)]
    many = decide(estimates, policy)
    if policy.name not in WITHOUT_FLOORS:
        many = apply_floors(many, estimates, policy)
    return quantise_all(many) if len(many) >= MANY_ROWS else list(map(quantise, many))


def _decoded(header: ArraysHeader | PickleHeader, arms: Mapping[str, bytes], secret: bytes) -> ModelSnapshot:
    if isinstance(header, PickleHeader):
        return _snapshot(header, river_wire.model_of(header, secret))
    return _snapshot(header, linear_wire.scorer_of(header, arms))


def _snapshot(header: ArraysHeader | PickleHeader, scorer: Scorer) -> ModelSnapshot:
    return ModelSnapshot(header.model, header.version, (header.low, header.high), scorer)


def _prior_scorer() -> LinearScorer:
    return LinearScorer(
        feature_map(Encoder().freeze(), 1, 1.0),
        (),
        np.zeros((0, 2, 2), np.float32),
        np.zeros(0),
        np.zeros(0, np.int64),
        prior_variance=1.0,
        offset=0.0,
        noise=coin_sd(0, 0),
        optimism=1.0,
    )
