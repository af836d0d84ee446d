"""A policy as it is written on a command line: its name, and its parameters as the catalog writes them."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

from config.catalog_errors import did_you_mean
from online_models.policies.check import PARAMETERS
from online_models.registry import check_policy, policy_names
from personalization.catalog.policy_spec import PolicySpec
from personalization.errors import InvalidInput

_EXAMPLE = "write e.g. --policy 'thompson:{scale: 2}'"
_TEXT = re.compile(r"\s*(?P<name>[A-Za-z_][\w-]*)\s*(?::?\s*(?P<mapping>\{.*\}))?\s*", re.DOTALL)
_BESIDE = {field.name for field in msgspec.structs.fields(PolicySpec)} - {"name", "parameters"}


def policy_of(text: str, arms: tuple[str, ...] | None = None, option: str = "--policy") -> PolicySpec:
    """The policy that ``text`` names.

    What stands in braces are the policy's own parameters, or what the catalog writes beside its name
    (``new_arm_exposures``); a whole entry of the catalog does as well.

    Parameters
    ----------
    arms
        What it chooses from; None: not known yet.

    Raises
    ------
    InvalidInput
        Naming the nearest policy or parameter.

    >>> policy_of("epsilon_greedy:{epsilon: 0.1}").parameters
    {'epsilon': 0.1}
    >>> policy_of("{name: thompson, new_arm_exposures: 50}").new_arm_exposures
    50
    """
    if text.lstrip().startswith("{"):
        given = _mapping(text, option)
        name = given.pop("name", None)
        if not isinstance(name, str):
            raise InvalidInput(option, f"{text!r} names no policy: {_EXAMPLE}")
    else:
        found = _TEXT.fullmatch(text)
        if found is None:
            raise InvalidInput(option, f"{text!r} is no policy: {_EXAMPLE}")
        name, given = found["name"], _mapping(found["mapping"] or "{}", option)
    if name not in policy_names():
        raise InvalidInput(option, f"unknown policy {name!r}; {did_you_mean(name, policy_names())}")
    own = {parameter.name for parameter in PARAMETERS[name]}
    parameters = given.pop("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidInput(option, f"parameters is {parameters!r}: {_EXAMPLE}")
    beside = {key: given.pop(key) for key in _BESIDE & given.keys() - own}
    try:
        spec = msgspec.convert({"name": name, "parameters": {**parameters, **given}, **beside}, PolicySpec)
    except msgspec.ValidationError as error:
        raise InvalidInput(option, f"{text!r}: {error}") from error
    check_policy(spec, option, arms)
    return spec


def _mapping(text: str, option: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(option, f"{text!r} cannot be read: {_EXAMPLE}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InvalidInput(option, f"{text!r} names no parameters: {_EXAMPLE}")
    glued = [key for key, value in found.items() if value is None and ":" in key]
    if glued:
        raise InvalidInput(option, f"{glued[0]!r}: put a space behind the colon; {_EXAMPLE}")
    return found
