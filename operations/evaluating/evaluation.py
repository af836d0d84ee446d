"""What another policy would have brought: estimates with intervals, or one sentence why there are none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from operations.evaluating.logged import NO_RECORD, LoggedDecision, LoggedDecisions
from operations.evaluating.scored import WANTED, Scored, scored
from personalization.catalog.policy_spec import PolicySpec
from personalization.evaluation.off_policy import (
    Linear,
    linear_doubly_robust,
    linear_ips,
    linear_snips,
    linear_switch,
    mean_of,
)
from personalization.evaluation.off_policy_sample import Sample, effective_size, stabilised

LEAST_UNITS = 100
"""Persons: of fewer, a normal interval says too much."""

LEAST_EFFECTIVE = 100.0
MOST_UNSUPPORTED = 0.01
"""Of the decisions, those where the policy wants what the log cannot tell of: they hardly bias a value."""


Weights: TypeAlias = Literal["even", "stretches", "whole"]
"""How decisions count: all alike (but for how many they stand for), or by the variance that was to be expected
before them, compared within stretches of the log or over the whole of it."""


class Value(msgspec.Struct, frozen=True):
    """An estimated mean reward of a decision, or a difference of two, with its 95 % interval."""

    value: float
    standard_error: float
    low: float
    high: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would have brought on logged decisions.

    Attributes
    ----------
    policy
        As it was named.
    n_decisions, n_units
        Decisions that count, and persons they were made for.
    since_ms, until_ms
        Of the first and the last decision that counts.
    logged
        What the policy in force brought; None: nothing can be said.
    value
        What the policy would have brought, by ``estimator``; None: nothing can be said.
    difference
        ``value`` less ``logged``: most of what is uncertain of both is the same, so that it is narrower.
    estimates
        By every estimator: ``ips``, ``snips``, ``dr``, ``switch``.
    weights
        How decisions count, see ``Weights``.
    threshold
        Beyond which weight ``switch`` believes the model alone.
    effective_size
        Decisions of equal weight that would tell as much (Kish).
    largest_weight_share
        Of the sum of all weights.
    unsupported_share
        Of decisions where the policy wants an arm that could not be shown.
    overlap
        How often both policies would show the same if they drew as alike as they can, [0, 1].
    left_out
        Outcomes that do not count, by why.
    missing
        Why nothing can be said, and what to do, as a sentence; empty: something can.
    words
        What was found, as a sentence.
    """

    placement: str
    policy: str
    segment: str = ""
    n_decisions: int = 0
    n_units: int = 0
    since_ms: int = 0
    until_ms: int = 0
    logged: Value | None = None
    value: Value | None = None
    difference: Value | None = None
    estimator: str = ""
    estimates: dict[str, Value] = {}
    weights: Weights = "even"
    threshold: float = 0.0
    effective_size: float = 0.0
    largest_weight_share: float = 0.0
    unsupported_share: float = 0.0
    overlap: float = 0.0
    left_out: dict[str, int] = {}
    missing: str = ""
    words: str = ""


def evaluate(
    placement: str,
    named: str,
    policy: PolicySpec | None,
    log: LoggedDecisions,
    *,
    weights: Weights = "stretches",
    segment: str = "",
) -> Evaluation:
    """Evaluate a policy on what was read.

    Parameters
    ----------
    named
        The policy as somebody typed it.
    policy
        None: what was in force.
    weights
        How decisions count.
    """
    told = Evaluation(placement=placement, policy=named, segment=segment, left_out=dict(log.left_out))
    missing = _missing_rows(placement, log.rows, log.left_out, segment)
    if missing:
        return msgspec.structs.replace(told, missing=missing)
    found = scored(log.rows, policy, log.known)
    told = msgspec.structs.replace(
        told,
        n_decisions=len(log.rows),
        n_units=found.sample.n_units,
        since_ms=log.rows[0].record.decided_at_ms,
        until_ms=log.rows[-1].record.decided_at_ms,
    )
    missing = why_not(named, found)
    if missing:
        return msgspec.structs.replace(told, missing=missing)
    told = _estimated(told, found, "even" if policy is None else weights, is_other=policy is not None)
    return msgspec.structs.replace(told, words=words_of(told))


def linear_estimates(found: Scored, sample: Sample) -> dict[str, Linear]:
    """By every estimator."""
    models = found.estimate_of_policy, found.estimate_of_shown
    return {
        "ips": linear_ips(found.reward, found.weight, sample),
        "snips": linear_snips(found.reward, found.weight, sample),
        "dr": linear_doubly_robust(found.reward, found.weight, *models, sample),
        "switch": linear_switch(found.reward, found.weight, *models, sample, found.threshold),
    }


def _estimated(told: Evaluation, found: Scored, how: Weights, *, is_other: bool) -> Evaluation:
    plain = found.sample
    sample = plain if how == "even" else stabilised(plain, found.variance, whole=how == "whole")
    logged = mean_of(found.reward, plain)
    linear = linear_estimates(found, sample)
    # Of what was in force no model has to tell what it brought.
    estimator = "dr" if is_other else "snips"
    shown = linear if is_other else {name: linear[name] for name in ("ips", "snips")}
    share = sample.counts * found.weight
    return msgspec.structs.replace(
        told,
        logged=_value(logged, plain),
        value=_value(linear[estimator], sample),
        difference=_value(linear[estimator].less(logged), sample),
        estimator=estimator,
        estimates={name: _value(each, sample) for name, each in shown.items()},
        weights=how,
        threshold=found.threshold,
        effective_size=effective_size(share),
        largest_weight_share=float(share.max() / share.sum()),
        unsupported_share=_unsupported(found),
        overlap=float((plain.counts @ found.overlap) / plain.counts.sum()),
    )


def _value(linear: Linear, sample: Sample) -> Value:
    value, error = linear.estimate(sample)
    interval = linear.interval(sample)
    return Value(value, error, interval.low, interval.high)


def _unsupported(found: Scored) -> float:
    counts = found.sample.counts
    return float(counts @ (found.unsupported >= WANTED) / counts.sum())


def _missing_rows(placement: str, rows: Sequence[LoggedDecision], left_out: Counter[str], segment: str) -> str:
    if rows:
        n_bad = sum(1 for row in rows if not _has_propensity(row))
        if n_bad:
            return (
                f"{n_bad:,} of {len(rows):,} decisions of {placement} were recorded without a probability of what "
                "was shown: leave them out with --since."
            )
        return ""
    of_whom = f" of visitors in {segment}" if segment else ""
    if left_out[NO_RECORD]:
        return (
            f"The log has no records of the {left_out[NO_RECORD]:,} decisions of {placement} that were closed, so "
            "that nobody knows how probable they were: evaluate before the log lets go of them, or keep it longer."
        )
    if left_out:
        why = ", ".join(f"{n:,} {why}" for why, n in sorted(left_out.items()))
        return f"No decision of {placement}{of_whom} counts ({why}): wait for windows to close, or look at more."
    return f"No window of {placement} has closed: show something there, and wait for the placement's window to end."


def _has_propensity(row: LoggedDecision) -> bool:
    record = row.record
    return record.choice.arm in record.arms and record.choice.weight > 0


def why_not(named: str, found: Scored) -> str:
    """Why nothing can be said of a policy, and what to do, as a sentence; empty: something can."""
    n_units = found.sample.n_units
    if n_units < LEAST_UNITS:
        return (
            f"Only {n_units:,} {_plural('visitor', n_units)} were decided for, and {LEAST_UNITS} are needed: wait "
            "for more, or look at more of them."
        )
    unsupported = _unsupported(found)
    if unsupported > MOST_UNSUPPORTED:
        return (
            f"Where {unsupported:.0%} of decisions were made, {named} wants what could not be shown then, so that "
            "the log cannot tell what it would have brought: let the policy in force try everything now and then "
            "(`epsilon`), or try the other one as a variant."
        )
    size = effective_size(found.sample.counts * found.weight)
    if size < LEAST_EFFECTIVE:
        return (
            f"What {named} would have shown was shown too rarely: {len(found.reward):,} decisions tell as much of "
            f"it as {size:.0f}, and {LEAST_EFFECTIVE:.0f} are needed; wait for more, or try it as a variant."
        )
    return ""


def _plural(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"


def words_of(told: Evaluation) -> str:
    """What was found, as a sentence."""
    assert told.value is not None
    assert told.logged is not None
    assert told.difference is not None
    if told.estimator == "snips":
        return f"What was in force brought {_number(told.logged)} a decision, {_between(told.logged)}."
    found = (
        f"{told.policy} would have brought {_number(told.value)} a decision, {_between(told.value)}; what was in "
        f"force brought {_number(told.logged)}. "
    )
    low, high = told.difference.low, told.difference.high
    if low > 0.0:
        return found + f"That is more, by {low:.3g} to {high:.3g}."
    if high < 0.0:
        return found + f"That is less, by {-high:.3g} to {-low:.3g}."
    return found + "Which of them is better cannot be told."


def _number(value: Value) -> str:
    return f"{value.value:.3g}"


def _between(value: Value) -> str:
    return f"between {value.low:.3g} and {value.high:.3g}"
