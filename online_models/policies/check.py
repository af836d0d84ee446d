"""What each policy takes, and everything about a placement's policy that makes no sense."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType, ModuleType

from online_models.policies import epsilon_greedy, fixed, linucb, squarecb, thompson, uniform
from online_models.policies.parameter import Parameter
from personalization.catalog.policy_spec import PolicySpec
from personalization.errors import InvalidInput

MODULES: Mapping[str, ModuleType] = {
    "default": linucb,
    "thompson": thompson,
    "linucb": linucb,
    "squarecb": squarecb,
    "epsilon_greedy": epsilon_greedy,
    "uniform": uniform,
    "fixed": fixed,
}
"""A new policy is a file of its own, with a function of the same name, and one line here."""

PARAMETERS: Mapping[str, tuple[Parameter, ...]] = MappingProxyType(
    {name: module.PARAMETERS for name, module in MODULES.items()}
)
"""Policy → its parameters, each declared in the policy's own file."""


def summary(policy: str) -> str:
    """What a policy does, in the line that its file begins with.

    >>> summary("squarecb")
    'SquareCB: probability inverse to the gap behind the best estimate.'
    """
    return (MODULES[policy].__doc__ or "").split("\n")[0]


_BOUNDS = (
    Parameter("min_probability", "", low=0.0, high=1.0),
    Parameter("epsilon", "", low=0.0, high=1.0),
    Parameter("new_arm_exposures", "", low=0.0, high=1e9),
)


def policy_mistakes(
    spec: PolicySpec, field: str = "policy", arms: Collection[str] | None = None
) -> Iterator[InvalidInput]:
    """Everything that is wrong with a policy, each mistake with the path it stands at.

    Parameters
    ----------
    field
        Where the policy stands.
    arms
        The placement's contents; None: they are not known here.
    """
    parameters = PARAMETERS.get(spec.name)
    if parameters is None:
        yield InvalidInput(
            f"{field}.name",
            f"unknown policy {spec.name!r}; use one of {', '.join(PARAMETERS)}",
            "unknown_policy",
        )
    for bound in _BOUNDS:
        value = getattr(spec, bound.name)
        if value is not None and (mistake := bound.mistake(value)):
            yield InvalidInput(f"{field}.{bound.name}", mistake)
    if parameters is None:
        return
    known = {parameter.name: parameter for parameter in parameters}
    for name, value in spec.parameters.items():
        here = f"{field}.parameters.{name}"
        if name not in known:
            yield InvalidInput(here, _unknown(spec.name, name, known), "unknown_field")
        elif mistake := known[name].mistake(value, arms):
            yield InvalidInput(here, mistake)
    if spec.name == "fixed" and len({"arm", "weights"} & spec.parameters.keys()) != 1:
        yield InvalidInput(f"{field}.parameters", "a fixed policy needs either 'arm' or 'weights'")


def _unknown(policy: str, name: str, known: Mapping[str, Parameter]) -> str:
    said = f"the policy {policy} has no parameter {name!r}"
    if any(name == bound.name for bound in _BOUNDS):
        return f"{said}; write {name} beside the policy's name, not among its parameters"
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"{said}; did you mean {close[0]!r}?"
    return f"{said}; it takes {', '.join(known)}" if known else f"{said}; it takes none"
