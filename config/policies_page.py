"""The page of docs that lists every policy and its parameters, made from what the policies declare."""

from __future__ import annotations

from config.catalog_shape import catalog_shape, group_of
from personalization.catalog.policy_spec import PolicySpec

_HEAD = """# Policies

How a placement explores: which of its contents is shown how often, given what the model expects of each. A policy
is written as its name alone, or with parameters:

    policy: thompson
    policy: {name: epsilon_greedy, parameters: {epsilon: 0.1}, new_arm_exposures: 50}

`nextbest check` refuses a parameter that the policy does not have, or that lies out of its range.

This page is made from `online_models/policies/` by `python -m config.generate`.

"""

_FIELDS = """## Beside the name

What holds under every policy but `uniform` and `fixed`.

| field | default | what it says |
|---|---|---|
"""


def policies_page() -> str:
    """The page as Markdown."""
    from online_models.policies.check import PARAMETERS, summary  # they import scipy: only where it is needed

    parts = [_HEAD]
    for name, parameters in PARAMETERS.items():
        parts.append(f"## {name}\n\n")
        if name == "default":
            parts.append("The same as `linucb`; a placement that names no policy has this one.\n\n")
            continue
        parts.append(f"{summary(name)}\n\n")
        if parameters:
            parts.append("| parameter | takes | default | what it does |\n|---|---|---|---|\n")
        for each in parameters:
            default = f"{each.default:g}" if each.kind == "number" else ""
            parts.append(f"| `{each.name}` | {each.takes} | {default} | {each.doc} |\n")
        if parameters:
            parts.append("\n")
    parts.append(_FIELDS)
    for name, field in group_of(catalog_shape(), PolicySpec).fields.items():
        if name not in ("name", "parameters"):
            default = "" if field.default is None else f"{field.default:g}"
            parts.append(f"| `{name}` | {default} | {field.description} |\n")
    return "".join(parts)
