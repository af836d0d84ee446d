"""The types of the API's description in TypeScript, to be held against those that a client has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def typescript(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    """A schema as TypeScript.

    >>> typescript({"type": "object", "properties": {"at": {"type": ["integer", "null"]}}, "required": ["at"]}, {})
    '{"at": number | null}'
    """
    return " | ".join(dict.fromkeys(_types(schema, parts)))


def _types(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield typescript(parts[schema["$ref"].rsplit("/", 1)[1]], parts)
    elif "enum" in schema:
        yield from map(json.dumps, schema["enum"])
    elif "anyOf" in schema or "oneOf" in schema:
        for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            yield from _types(each, parts)
    else:
        kinds = schema.get("type", "unknown")
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            yield _type(kind, schema, parts)


def _type(kind: str, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"({typescript(schema['items'], parts)})[]"
    if kind == "object" and "properties" in schema:
        required = schema.get("required", ())
        members = (
            f"{json.dumps(name)}{'' if name in required else '?'}: {typescript(each, parts)}"
            for name, each in schema["properties"].items()
        )
        return f"{{{', '.join(members)}}}"
    return {"integer": "number", "object": "Record<string, unknown>"}.get(kind, kind)
