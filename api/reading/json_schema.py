"""What a type alone does not say of the JSON it stands for; the API's description says it (JSON Schema 2020-12)."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

INSTEAD = "x-instead"
"""Marks the schema that stands for a type in place of the one that would be made of it."""


def described(schema: dict[str, Any]) -> msgspec.Meta:
    """What to annotate a type with, so that ``schema`` describes it. Decoding is the type's as before."""
    return msgspec.Meta(extra_json_schema={INSTEAD: schema})


def component(name: str) -> msgspec.Meta:
    """What to annotate raw JSON with that a reader of its own decodes, later: into the type of that name."""
    return described({"$ref": f"#/components/schemas/{name}"})


JsonObject: TypeAlias = dict[str, Any]
"""Whatever JSON has."""

RawJson: TypeAlias = Annotated[msgspec.Raw, described({})]
"""JSON that is encoded already."""
