"""A policy takes the parameters it declares, within their ranges; what is accepted gives probabilities."""

# ruff: noqa: E501  (a message stands in one line, as it is read)
from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.policies.check import PARAMETERS, policy_mistakes
from online_models.policies.floors import apply_floors
from online_models.registry import POLICIES, WITHOUT_FLOORS, check_policy
from online_models.reward_model import Estimates
from personalization.catalog.policy_spec import PolicySpec

ARMS = ("red", "green")
BAD_PARAMETERS: list[tuple[str, str, object, str]] = [
    ("linucb", "temperature", 0, "must be a number from 0.001 to 100, not 0"),
    ("default", "alpha", -100, "must be a number from 0 to 1000, not -100"),
    ("linucb", "alpha", "2", "must be a number from 0 to 1000, not '2'"),
    ("linucb", "alpha", True, "must be a number from 0 to 1000, not True"),
    ("linucb", "alpha", None, "must be a number from 0 to 1000, not None"),
    ("linucb", "alpha", float("nan"), "must be a number from 0 to 1000, not nan"),
    ("thompson", "scale", -1, "must be a number from 0 to 1000, not -1"),
    ("squarecb", "gamma", -5, "must be a number from 0 to 1e+06, not -5"),
    ("epsilon_greedy", "epsilon", 1.5, "must be a number from 0 to 1, not 1.5"),
    (
        "epsilon_greedy",
        "epsilonn",
        0.5,
        "the policy epsilon_greedy has no parameter 'epsilonn'; did you mean 'epsilon'?",
    ),
    (
        "thompson",
        "epsilon",
        0.1,
        "the policy thompson has no parameter 'epsilon'; write epsilon beside the policy's name, not among its parameters",
    ),
    ("thompson", "temperature", 0.1, "the policy thompson has no parameter 'temperature'; it takes scale"),
    ("uniform", "weights", {}, "the policy uniform has no parameter 'weights'; it takes none"),
    ("fixed", "arm", "gren", "the placement does not show 'gren'; did you mean 'green'?"),
    ("fixed", "arm", 3, "must be one of the placement's contents, not 3"),
    ("fixed", "weights", {"red": 1, "blue": 2}, "the placement does not show 'blue'; it shows: green, red"),
    ("fixed", "weights", {"red": -1, "green": 2}, "the weight of 'red' must be a number of 0 or more, not -1"),
    ("fixed", "weights", {"red": "x"}, "the weight of 'red' must be a number of 0 or more, not 'x'"),
    ("fixed", "weights", {"red": float("inf")}, "the weight of 'red' must be a number of 0 or more, not inf"),
    ("fixed", "weights", {"red": 0, "green": 0.0}, "at least one content needs a weight above 0"),
    (
        "fixed",
        "weights",
        {},
        "must be a weight for each content that may be shown, such as {hero-welcome: 3, hero-sale: 1}, not {}",
    ),
]


@pytest.mark.parametrize(
    ("name", "parameter", "value", "said"),
    BAD_PARAMETERS,
)
def test_parameters_that_do_not_fit_are_refused(name: str, parameter: str, value: object, said: str) -> None:
    found = list(policy_mistakes(PolicySpec(name=name, parameters={parameter: value}), "policy", ARMS))
    assert [(mistake.field, mistake.message) for mistake in found] == [(f"policy.parameters.{parameter}", said)]


def test_every_policy_declares_its_parameters_and_every_mistake_is_told() -> None:
    assert PARAMETERS.keys() == POLICIES.keys()
    for parameters in PARAMETERS.values():
        for each in parameters:
            assert each.doc.endswith(".")
            if each.kind == "number":
                assert each.mistake(each.default) is None
    spec = PolicySpec(name="linucb", parameters={"alpha": -1, "temp": 1}, epsilon=2.0)
    assert [mistake.field for mistake in policy_mistakes(spec)] == [
        "policy.epsilon",
        "policy.parameters.alpha",
        "policy.parameters.temp",
    ]
    both = PolicySpec(name="fixed", parameters={"arm": "red", "weights": {"red": 1}})
    assert [mistake.message for mistake in policy_mistakes(both)] == [
        "a fixed policy needs either 'arm' or 'weights'"
    ]


def between(low: float, high: float, share: float) -> float:
    return low + share * (high - low)


@given(st.data())
def test_what_is_accepted_gives_probabilities(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(POLICIES)))
    ends = st.sampled_from([0.0, 1.0])
    parameters: dict[str, object] = {
        each.name: data.draw(st.floats(each.low, each.high) | ends.map(partial(between, each.low, each.high)))
        for each in PARAMETERS[name]
        if each.kind == "number" and data.draw(st.booleans())
    }
    k = data.draw(st.integers(2, 5))
    arms = tuple(f"arm{i}" for i in range(k))
    if name == "fixed":
        parameters = data.draw(
            st.sampled_from(
                [{"arm": arms[1]}, {"weights": {arms[0]: 2, arms[1]: 0.5}}, {"weights": {arms[1]: 1e-9}}]
            )
        )
    spec = PolicySpec(name=name, parameters=parameters)
    check_policy(spec, arms=arms)
    numbers = st.floats(-1.0, 2.0)
    mean = np.array(data.draw(st.lists(numbers, min_size=k, max_size=k)))
    sd = np.array(data.draw(st.lists(st.floats(0.0, 1.0), min_size=k, max_size=k)))
    estimates = Estimates(arms, mean, sd, np.full(k, 10.0), data.draw(st.floats(0.01, 1.0)))
    p = POLICIES[name](estimates, spec)
    if name not in WITHOUT_FLOORS:
        p = apply_floors(p, estimates, spec)
    assert np.isfinite(p).all()
    assert (p >= 0.0).all()
    assert abs(p.sum() - 1.0) < 1e-9
