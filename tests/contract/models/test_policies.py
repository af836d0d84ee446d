"""Every policy gives a distribution, obeys the floors, and is drawn from as it says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.policies.floors import apply_floors
from online_models.policies.linucb import linucb
from online_models.policies.linucb_one import FEW_ARMS, linucb_with_floors
from online_models.policies.thompson import highest
from online_models.registry import POLICIES, check_policy
from online_models.reward_model import Estimates
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import SCALE, ArmDistribution, quantise, ticket
from personalization.errors import InvalidInput

LEARNED = sorted(set(POLICIES) - {"uniform", "fixed"})


def estimates(k: int, seed: int, *, n: float | None = None, noise: float = 0.5) -> Estimates:
    rng = np.random.default_rng(seed)
    counts = np.full(k, n) if n is not None else rng.integers(0, 2000, k).astype(float)
    arms = tuple(f"arm{i}" for i in range(k))
    return Estimates(arms, rng.random(k), rng.gamma(1.0, 0.1, k) + 1e-6, counts, noise)


@given(
    k=st.integers(2, FEW_ARMS),
    seed=st.integers(0, 10_000),
    noise=st.floats(0.001, 0.5),
    alpha=st.floats(0.0, 3.0),
    minimum=st.sampled_from([None, 0.001, 0.2]),
)
@settings(max_examples=200, deadline=None)
def test_plain_python_gives_the_bits_that_numpy_gives(
    k: int, seed: int, noise: float, alpha: float, minimum: float | None
) -> None:
    e = estimates(k, seed, n=seed % 7 + 1.0, noise=noise)
    spec = PolicySpec(parameters={"alpha": alpha}, min_probability=minimum)
    p = linucb_with_floors(e.mean.tolist(), e.sd.tolist(), e.n.tolist(), noise, spec)
    assert p is None or p == apply_floors(linucb(e, spec), e, spec).tolist()
    assert p is not None or (minimum == 0.2 and k > 4)


@pytest.mark.parametrize("name", sorted(POLICIES))
@given(k=st.integers(1, 60), seed=st.integers(0, 10_000), noise=st.floats(0.001, 0.5))
@settings(max_examples=40, deadline=None)
def test_a_policy_gives_a_distribution(name: str, k: int, seed: int, noise: float) -> None:
    e = estimates(k, seed, noise=noise)
    p = POLICIES[name](e, PolicySpec(name=name, parameters={"arm": "arm0"}))
    assert p.shape == (k,)
    assert p.min() >= 0.0
    assert p.sum() == pytest.approx(1.0)
    assert sum(quantise(p)) == SCALE


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_extreme_estimates_give_a_distribution(name: str) -> None:
    spec = PolicySpec(name=name, parameters={"arm": "gone"})
    for mean, sd in (([1e6, -1e6, 0.0], [1e-12, 1e3, 0.0]), ([0.0] * 3, [0.0] * 3), ([2.0, 2.0, 2.0], [1e-9] * 3)):
        e = Estimates(("a", "b", "c"), np.array(mean), np.array(sd), np.zeros(3), 0.01)
        p = apply_floors(POLICIES[name](e, spec), e, spec)
        assert np.isfinite(p).all()
        assert sum(quantise(p)) == SCALE


@pytest.mark.parametrize("name", LEARNED)
def test_a_clearly_better_arm_gets_most(name: str) -> None:
    e = Estimates(("a", "b"), np.array([0.1, 0.6]), np.array([0.01, 0.01]), np.array([1000.0, 1000.0]))
    assert POLICIES[name](e, PolicySpec(name=name))[1] > 0.9


@given(k=st.integers(2, 40), seed=st.integers(0, 10_000), minimum=st.sampled_from([None, 0.001, 0.02, 0.5]))
@settings(max_examples=80, deadline=None)
def test_floors(k: int, seed: int, minimum: float | None) -> None:
    spec = PolicySpec(min_probability=minimum, new_arm_exposures=500)
    e = estimates(k, seed)
    p = POLICIES["default"](e, spec)
    raised = apply_floors(p, e, spec)
    assert raised.sum() == pytest.approx(1.0)
    least = min(1 / k, max(spec.epsilon * float(e.room.item()) / k, minimum or 0.0))
    assert raised.min() >= least * (1 - 1e-9)
    new = e.n < spec.new_arm_exposures
    assert (raised[new] >= 0.5 / k * (1 - 1e-9)).all()
    if 0 < new.sum() < k and least * new.sum() <= 0.5:
        assert raised[new].sum() <= 0.5 + 1e-9


def test_the_floor_is_part_of_what_is_drawn() -> None:
    """Empirical frequency equals the logged propensity, within four standard errors, for every arm."""
    e = estimates(6, 5)
    spec = PolicySpec(min_probability=0.02)
    weights = quantise(apply_floors(POLICIES["thompson"](e, spec), e, spec))
    d = ArmDistribution(e.arms, weights, (0.0,) * 6, (0.0,) * 6, "thompson", 0)
    n = 20_000
    drawn = np.bincount([d.draw(ticket(b"key", f"decision {i}")) for i in range(n)], minlength=6)
    for index in range(6):
        p = d.probability(index)
        assert p >= 0.02 * (1 - 1e-6)
        assert abs(drawn[index] / n - p) <= 4 * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("k", [2, 5, 20, 100])
@pytest.mark.parametrize("spread", [0.02, 0.2, 3.0])
def test_thompson_integrates_what_monte_carlo_samples(k: int, spread: float) -> None:
    rng = np.random.default_rng(k)
    mean, sd = rng.random(k), rng.gamma(1.0, spread, k) + 1e-4
    n = 60_000
    counts = np.bincount(np.argmax(mean + sd * rng.standard_normal((n, k)), axis=1), minlength=k) / n
    assert np.abs(highest(mean, sd) - counts).max() < 0.003 + 4 * np.sqrt(0.25 / n)


def test_unknown_policies_and_bounds_are_refused() -> None:
    for spec, field in (
        (PolicySpec(name="best"), "policy.name"),
        (PolicySpec(min_probability=1.5), "policy.min_probability"),
        (PolicySpec(epsilon=float("nan")), "policy.epsilon"),
        (PolicySpec(name="fixed"), "policy.parameters"),
    ):
        with pytest.raises(InvalidInput) as caught:
            check_policy(spec)
        assert caught.value.field == field
