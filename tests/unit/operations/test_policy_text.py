"""A policy on the command line: written as in the catalog, and what is nearly right is named."""

from __future__ import annotations

import pytest

from operations.simulation.policy_text import policy_of
from personalization.catalog.policy_spec import PolicySpec
from personalization.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("thompson", PolicySpec(name="thompson")),
        ("thompson:{scale: 2}", PolicySpec(name="thompson", parameters={"scale": 2})),
        ('thompson: {"scale": 2}', PolicySpec(name="thompson", parameters={"scale": 2})),
        ("thompson{}", PolicySpec(name="thompson")),
        ("thompson:{scale: 2, epsilon: 0.1}", PolicySpec(name="thompson", parameters={"scale": 2}, epsilon=0.1)),
        ("epsilon_greedy:{epsilon: 0.1}", PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.1})),
        (
            "{name: epsilon_greedy, parameters: {epsilon: 0.1}, new_arm_exposures: 50}",
            PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.1}, new_arm_exposures=50),
        ),
        ("fixed:{arm: b}", PolicySpec(name="fixed", parameters={"arm": "b"})),
    ],
)
def test_it_is_written_as_in_the_catalog(text: str, spec: PolicySpec) -> None:
    assert policy_of(text, ("a", "b")) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tompson", "did you mean 'thompson'"),
        ("thompson:{scael: 2}", "did you mean 'scale'"),
        ("thompson:{scale:2}", "put a space behind the colon"),
        ("thompson:{scale: 2", "is no policy: write e.g."),
        ("thompson:{scale: 'a lot'}", "--policy.parameters.scale"),
        ("thompson:{scale: 2}}", "cannot be read"),
        ("{scale: 2}", "names no policy"),
        ("thompson:{parameters: 2}", "parameters is 2"),
        ("thompson:{new_arm_exposures: many}", "new_arm_exposures"),
        ("fixed:{arm: c}", "--policy.parameters.arm"),
        ("", "is no policy"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        policy_of(text, ("a", "b"))
    assert says in str(raised.value)
