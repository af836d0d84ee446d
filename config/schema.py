"""The JSON Schema of a catalog file: what editors complete and underline. Checked to be what the loader reads.

Every top-level name is optional in it, since a catalog may be split over files in any way.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from config.catalog_shape import (
    Anything,
    Choice,
    Duration,
    Field,
    Group,
    ListOf,
    MapOf,
    Maybe,
    Moment,
    Number,
    NumberOrGroup,
    NumberOrText,
    OneOrMore,
    Pair,
    Shape,
    Text,
    Whole,
    YesNo,
    catalog_shape,
)
from config.scalars import write_duration
from personalization.catalog.policy_spec import PolicySpec

if TYPE_CHECKING:
    from online_models.policies.parameter import Parameter

SCHEMA_FILE = Path(__file__).parent / "catalog.schema.json"

_DURATION = {
    "type": "string",
    "pattern": r"^(\s*\d+(\.\d+)?\s*(ms|s|sec|m|min|h|d|w|(second|minute|hour|day|week)s?))+\s*$",
    "examples": ["30m", "12h", "14d"],
}
_MOMENT = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?)?$",
    "examples": ["2026-01-31", "2026-01-31T09:00+01:00"],
}


def catalog_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one file of a catalog."""
    definitions: dict[str, Any] = {}
    root = _group(catalog_shape(), definitions)
    root.pop("required", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nextbest catalog",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def catalog_schema_text() -> str:
    """The schema as published."""
    return msgspec.json.format(msgspec.json.encode(catalog_schema()), indent=2).decode() + "\n"


def _schema(shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    match shape:
        case Group():
            name = shape.cls.__name__
            if name not in definitions:
                definitions[name] = {}  # taken, should a group ever hold itself
                definitions[name] = _group(shape, definitions)
                if shape.cls is PolicySpec:
                    definitions[name] |= _policies()
            reference = {"$ref": f"#/$defs/{name}"}
            short = getattr(shape.cls, "short_schema", None)
            if shape.cls is PolicySpec:
                short = {"enum": _policy_names()}
            return {"anyOf": [short, reference]} if short else reference
        case Text(is_rule=True):
            return {"type": ["string", "boolean"], "description": "A CEL expression."}
        case Text():
            return {"type": "string"}
        case Whole():
            return {"type": "integer"}
        case Number(is_share=True):
            return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}]}
        case Number():
            return {"type": "number"}
        case NumberOrText():
            return {"type": ["number", "string"] if shape.is_rule else ["number", "string", "boolean"]}
        case NumberOrGroup(group):
            return {"anyOf": [{"type": "number"}, *_schema(group, definitions)["anyOf"]]}
        case YesNo():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(shape.words)}
        case Duration():
            return _DURATION
        case Moment():
            return _MOMENT
        case Anything():
            return {}
        case ListOf():
            item = _schema(shape.item, definitions)
            return {"anyOf": [{"type": "array", "items": item}, item]}
        case OneOrMore():
            return {"anyOf": [_schema(shape.one, definitions), {"type": "array", "items": {"type": "string"}}]}
        case Pair():
            return {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
        case MapOf():
            return {"type": ["object", "null"], "additionalProperties": _schema(shape.item, definitions)}
        case Maybe():
            never = [{"const": "never"}] if isinstance(shape.shape, Duration | Moment) else []
            return {"anyOf": [_schema(shape.shape, definitions), *never, {"type": "null"}]}


def _policy_names() -> list[str]:
    from online_models.policies.check import PARAMETERS  # its policies import scipy: only where it is needed

    return list(PARAMETERS)


def _policies() -> dict[str, Any]:
    """What each policy takes: one branch a policy, told apart by the name."""
    from online_models.policies.check import PARAMETERS, summary

    branches = []
    for name, parameters in PARAMETERS.items():
        group = {
            "type": ["object", "null"],
            "properties": {each.name: _parameter(each) for each in parameters},
            "additionalProperties": False,
        }
        branch: dict[str, Any] = {
            "properties": {"name": {"const": name, "description": summary(name)}, "parameters": group}
        }
        if name != PolicySpec().name:
            branch["required"] = ["name", "parameters"] if name == "fixed" else ["name"]
        branches.append(branch)
    return {"anyOf": branches}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    if parameter.kind == "number":
        bounds = {"minimum": parameter.low, "maximum": parameter.high, "default": parameter.default}
        return {"type": "number", "description": parameter.doc, **bounds}
    if parameter.kind == "content":
        return {"type": "string", "description": parameter.doc}
    return {
        "type": "object",
        "description": parameter.doc,
        "additionalProperties": {"type": "number", "minimum": 0},
    }


def _group(shape: Group, definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _property(field, definitions) for name, field in shape.fields.items()}
    required = [name for name, field in shape.fields.items() if field.required]
    return {
        "type": "object",
        "description": shape.description.replace("``", "`"),
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **getattr(shape.cls, "more_schema", {}),
    }


def _property(field: Field, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(field.shape, definitions)
    if field.description:
        schema = {**schema, "description": field.description}
    default = field.default
    if isinstance(default, int) and isinstance(field.shape, Duration | Maybe) and field.attribute.endswith("_ms"):
        default = write_duration(default)
    if isinstance(default, str | int | float | bool) and default != "":
        schema = {**schema, "default": default}
    return schema
