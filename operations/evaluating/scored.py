"""Logged decisions as another policy would have made them: weights, and what a model expects, as plain arrays.

The policy is asked by the very code that decides, with the estimates that were recorded at each decision. They are
of a model that had learned from earlier outcomes alone, so that they serve a doubly robust estimate as well. Each
slot is a decision of its own, given what stood above it: its probability is conditional on that, by either policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from online_models.reward_model import Estimates, FloatArray
from online_models.snapshot import unpack_version, weights_of
from operations.evaluating.known import Known
from operations.evaluating.logged import LoggedDecision
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import SCALE
from personalization.evaluation.off_policy import switch_threshold
from personalization.evaluation.off_policy_sample import Sample
from personalization.events.decision_record import DecisionRecord, unpack_f32

WANTED = 0.01
"""From such a probability on, a policy wants an arm: a share so small changes a value by no more than that."""


@dataclass(frozen=True, slots=True)
class Scored:
    """n decisions, in order of time; its arrays have the shape (n,).

    Attributes
    ----------
    threshold
        Of weights, see ``switch_threshold``.
    weight
        The policy's probability of the arm that was shown, over the logged one.
    estimate_of_policy, estimate_of_shown
        The reward that the model expected of the policy's choice, and of the arm that was shown.
    variance
        Σ π²/e over the arms: by what the log makes an estimate of the policy uncertain.
    overlap
        Σ min(π, e): how often both would show the same, if they drew as alike as they can.
    unsupported
        The policy's probability of arms that could not be shown by the policy in force.
    """

    sample: Sample
    threshold: float
    reward: FloatArray
    weight: FloatArray
    estimate_of_policy: FloatArray
    estimate_of_shown: FloatArray
    variance: FloatArray
    overlap: FloatArray
    unsupported: FloatArray


def scored(rows: Sequence[LoggedDecision], policy: PolicySpec | None, known: Mapping[str, Known]) -> Scored:
    """Ask the policy what it would have done.

    Parameters
    ----------
    rows
        At least one, in order of time.
    policy
        None: what was in force.
    known
        By a model's key, what it had learned.
    """
    logged = [_logged(row) for row in rows]
    theirs = logged if policy is None else probabilities(rows, policy, known)
    odds = [_odds(*each) for each in zip(theirs, logged, strict=True)]
    found = np.array([_row(*each) for each in zip(rows, theirs, logged, odds, strict=True)]).T.copy()
    counts = np.array([row.stands_for for row in rows])
    wanted = np.concatenate([share * count for share, count in zip(theirs, counts.tolist(), strict=True)])
    _, unit = np.unique(np.array([row.unit.hex() for row in rows]), return_inverse=True)
    threshold = switch_threshold(np.concatenate(odds), wanted)
    return Scored(Sample.of(counts, unit.astype(np.int64)), threshold, *found)


def probabilities(
    rows: Sequence[LoggedDecision], policy: PolicySpec, known: Mapping[str, Known]
) -> list[FloatArray]:
    """The policy's probability of each eligible arm, of each decision: K numbers each.

    Those by one version of a model over the same arms are asked together: the same bits as one by one.
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for at, row in enumerate(rows):
        choice = row.record.choice
        alike.setdefault((choice.model, choice.model_version, row.reward_range, row.record.arms), []).append(at)
    found: dict[int, FloatArray] = {}
    for places in alike.values():
        weights = _asked([rows[at] for at in places], policy, known)
        found.update(zip(places, (np.array(each) / SCALE for each in weights), strict=True))
    return [found[at] for at in range(len(rows))]


def _asked(rows: Sequence[LoggedDecision], policy: PolicySpec, known: Mapping[str, Known]) -> list[tuple[int, ...]]:
    first = rows[0].record
    low, high = rows[0].reward_range
    mean = (np.array([_numbers(row.record, row.record.means_f32) for row in rows]) - low) / (high - low)
    sd = np.array([_numbers(row.record, row.record.sds_f32) for row in rows]) / (high - low)
    shares = (np.array(first.weights) / SCALE).tolist()
    expected = dict(zip(first.arms, zip(shares, mean[0].tolist(), strict=True), strict=True))
    _, n_learned = unpack_version(first.choice.model_version)
    model = known.get(first.choice.model) or Known(())
    n, noise = model.at(n_learned, first.decided_at_ms, first.arms, expected)
    return weights_of(Estimates(first.arms, mean, sd, n, noise), policy)


def _numbers(record: DecisionRecord, packed: bytes) -> tuple[float, ...]:
    return unpack_f32(packed) or (0.0,) * len(record.arms)


def _logged(row: LoggedDecision) -> FloatArray:
    record = row.record
    if record.choice.policy_arm:  # an apprentice's baseline was certain
        return np.array([float(arm == record.choice.arm) for arm in record.arms])
    return np.array(record.weights) / SCALE


def _odds(theirs: FloatArray, logged: FloatArray) -> FloatArray:
    return np.divide(theirs, logged, out=np.zeros(len(logged)), where=logged > 0.0)


def _row(row: LoggedDecision, theirs: FloatArray, logged: FloatArray, odds: FloatArray) -> tuple[float, ...]:
    means = np.array(_numbers(row.record, row.record.means_f32))
    shown = row.record.arms.index(row.record.choice.arm)
    return (
        row.reward,
        float(odds[shown]),
        float(theirs @ means),
        float(means[shown]),
        max(1.0, float(theirs @ odds)),
        float(np.minimum(theirs, logged).sum()),
        float(theirs[logged <= 0.0].sum()),
    )
