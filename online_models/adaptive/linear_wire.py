"""The arrays of a linear scorer, to the wire and back, whole or what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.feature_map import FeatureMap
from online_models.adaptive.landmarks import Landmarks, no_landmarks
from online_models.adaptive.linear_scorer import LinearScorer
from online_models.frozen_encoder import FrozenEncoder
from online_models.reward_model import Float32Array, FloatArray
from online_models.wire import FORMAT, LANDMARKS, ArmField, ArraysHeader, LandmarksField, SnapshotDelta
from personalization.errors import Refused

_ARM = msgspec.msgpack.Decoder(ArmField)
_LANDMARKS = msgspec.msgpack.Decoder(LandmarksField)


def header_of(scorer: LinearScorer, model: str, version: int, reward_range: tuple[float, float]) -> ArraysHeader:
    """All but arms and landmarks."""
    arm_encoder = scorer.arm_encoder
    return ArraysHeader(
        FORMAT,
        model,
        version,
        *reward_range,
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


def fields_of(scorer: LinearScorer) -> dict[str, bytes]:
    """Every arm, and the landmarks where there are some."""
    return changed_fields(scorer, None)[0]


def changed_fields(scorer: LinearScorer, before: LinearScorer | None) -> tuple[dict[str, bytes], list[str]]:
    """What differs from ``before``, and the names of what is gone."""
    comparable = before if before is not None and _shape(before) == _shape(scorer) else None
    fields: dict[str, bytes] = {}
    for row, arm in enumerate(scorer.arms):
        at = comparable.index.get(arm, -1) if comparable is not None else -1
        if comparable is None or at < 0 or comparable.touched[at] != scorer.touched[row]:
            fields[arm] = _arm_field(scorer, row)
    landmarks = scorer.features.landmarks
    if len(landmarks) and (comparable is None or comparable.features_touched != scorer.features_touched):
        fields[LANDMARKS] = msgspec.msgpack.encode(LandmarksField(scorer.features_touched, landmarks.dump()))
    removed = [arm for arm in before.arms if arm not in scorer.index] if before is not None else []
    if before is not None and len(before.features.landmarks) and not len(landmarks):
        removed.append(LANDMARKS)
    return fields, removed


def scorer_of(header: ArraysHeader, fields: Mapping[str, bytes]) -> LinearScorer:
    """The inverse of ``header_of`` and ``fields_of``, with the arms in the order of their names.

    In which row an arm stands shows in the last digit of its estimate: BLAS adds up the rows behind the last block
    in another order. So the rows of a version are the same for every decider, whatever it had read before.
    """
    arms = tuple(sorted(arm for arm in fields if arm != LANDMARKS))
    table = _Table.empty(header, len(arms))
    for row, arm in enumerate(arms):
        table.fill(row, fields[arm])
    touched, landmarks = 0, no_landmarks(header.n_linear)
    if LANDMARKS in fields:
        touched, landmarks = _landmarks(fields[LANDMARKS])
    return _scorer(header, arms, table, touched, landmarks)


def scorer_after(scorer: LinearScorer, header: ArraysHeader, delta: SnapshotDelta) -> LinearScorer:
    """What becomes of a scorer by what changed: bit for bit what ``scorer_of`` makes of the whole."""
    if _shape(scorer) != (header.width, header.n_features, header.n_linear):
        return scorer_of(header, delta.arms)
    fields = dict(delta.arms)
    changed = fields.pop(LANDMARKS, None)
    gone = set(delta.removed)
    arms = tuple(sorted((set(scorer.arms) - gone) | fields.keys()))
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
    touched, landmarks = scorer.features_touched, scorer.features.landmarks
    if changed is not None:
        touched, landmarks = _landmarks(changed)
    return _scorer(header, arms, table, touched, landmarks)


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


def _arm_field(scorer: LinearScorer, row: int) -> bytes:
    features = scorer.arm_features[row].tobytes() if scorer.arm_features is not None else b""
    return msgspec.msgpack.encode(
        ArmField(int(scorer.touched[row]), float(scorer.n[row]), scorer.weights[row].tobytes(), features)
    )


def _landmarks(data: bytes) -> tuple[int, Landmarks]:
    """When they last changed, and they."""
    field = _LANDMARKS.decode(data)
    return field.touched, Landmarks.load(field.landmarks)


def _scorer(
    header: ArraysHeader, arms: tuple[str, ...], table: _Table, touched: int, landmarks: Landmarks
) -> LinearScorer:
    if header.n_features != 1 + header.n_linear + len(landmarks):
        raise Refused("the snapshot's landmarks do not fit its arms: read the whole snapshot")
    base = None
    if header.base is not None:
        base = np.frombuffer(header.base, np.float32).reshape(-1, 1 + header.n_linear)
    return LinearScorer(
        FeatureMap(
            FrozenEncoder.from_state(header.encoder),
            header.n_linear,
            header.linear,
            landmarks,
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
