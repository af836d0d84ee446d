"""A policy as somebody types it: a catalog's name for it, with parameters after a colon, or a variant's name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from online_models.policies.check import PARAMETERS
from online_models.registry import check_policy, policy_names
from personalization.catalog.catalog import Placement
from personalization.catalog.policy_spec import PolicySpec
from personalization.errors import InvalidInput, Refused

LOGGED = "logged"
"""Stands for whatever was in force."""

_BESIDE = frozenset({"min_probability", "epsilon", "new_arm_exposures"})
OPTION = "--policy"


def read_policy(text: str, placement: Placement, arms: Collection[str] | None) -> PolicySpec | None:
    """The policy that a text names; None: whatever was in force.

    Parameters
    ----------
    arms
        The placement's contents; None: they are not known here.

    Raises
    ------
    InvalidInput
        Where it names none, or its parameters make no sense.
    Refused
        Where it names a variant whose estimates were recorded of its own visitors alone.
    """
    name, _, said = text.strip().partition(":")
    if name == LOGGED and not said:
        return None
    if name not in policy_names() and name in placement.variants and not said:
        return _of_variant(name, placement)
    if name not in policy_names():
        variants = f", or a variant ({', '.join(sorted(placement.variants))})" if placement.variants else ""
        raise InvalidInput(
            OPTION,
            f"there is no policy {name!r}: use {LOGGED}, one of {', '.join(policy_names())}{variants}; parameters "
            "follow a colon, e.g. 'thompson:{\"scale\": 0.5}' or fixed:CONTENT",
            "unknown_policy",
        )
    spec = PolicySpec(name=name)
    if said.lstrip().startswith("{"):
        spec = _with_parameters(name, said)
    elif said and name == "fixed":
        spec = PolicySpec(name=name, parameters={"arm": said.strip()})
    elif said:
        raise InvalidInput(OPTION, f"what follows {name}: must be its parameters in JSON, e.g. {name}:{{…}}")
    check_policy(spec, OPTION, arms)
    return spec


def _with_parameters(name: str, said: str) -> PolicySpec:
    """Its own parameters, and what a catalog writes beside a policy's name."""
    try:
        given = msgspec.json.decode(said, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidInput(OPTION, f"what follows {name}: is no JSON object: {error}") from error
    own = {parameter.name for parameter in PARAMETERS[name]}
    beside = {key: value for key, value in given.items() if key in _BESIDE and key not in own}
    parameters = {key: value for key, value in given.items() if key not in beside}
    try:
        return msgspec.convert({"name": name, "parameters": parameters, **beside}, PolicySpec)
    except msgspec.ValidationError as error:
        raise InvalidInput(OPTION, str(error)) from error


def _of_variant(name: str, placement: Placement) -> PolicySpec:
    variant = placement.variants[name]
    if variant.names_a_model or variant.features is not None or variant.content is not None:
        raise Refused(
            f"the variant {name} has a model, features or contents of its own: what it would have shown others was "
            f"not recorded; compare what it brought instead (`nextbest report`)"
        )
    return variant.policy or placement.policy
