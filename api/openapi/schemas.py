"""The schemas of what is sent and answered, made from the structs that decode and encode it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from api.dialects.own.decide_answer import CONTENT, HtmlContent, JsonContent, RedirectContent
from api.reading.json_schema import INSTEAD
from config.catalog_shape import attribute_docs

Schema = dict[str, Any]

_AT = "#/components/schemas/"
_CONTENTS = (HtmlContent, JsonContent, RedirectContent)


class Schemas:
    """The schemas of several types, which share their parts.

    Attributes
    ----------
    components
        The parts by name.
    """

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = list(dict.fromkeys((*types, *_CONTENTS)))
        found, components = msgspec.json.schema_components(wanted, ref_template=_AT + "{name}")
        self._found = dict(zip(map(str, wanted), map(_mended, found), strict=True))
        docs = _docs(wanted)
        self.components: dict[str, Schema] = {
            _name(name): _documented(_mended(schema), docs.get(name, {})) for name, schema in components.items()
        }
        self.components[CONTENT] = {"oneOf": [self.of(each) for each in _CONTENTS]}

    def of(self, type_: Any) -> Schema:
        """The schema of one of the types, most often a reference to its part."""
        found: Schema = self._found[str(type_)]
        return found

    def one_of(self, types: Iterable[Any]) -> Schema:
        """The schema of one of several types."""
        found = [self.of(each) for each in types]
        return found[0] if len(found) == 1 else {"anyOf": found}


def parameters_of(query: type[msgspec.Struct]) -> list[tuple[str, Schema, bool]]:
    """Name, schema, and whether it must be there, of each parameter of a query."""
    (_,), components = msgspec.json.schema_components([query], ref_template=_AT + "{name}")
    struct: Schema = _mended(components[query.__name__])
    required = struct.get("required", ())
    return [(name, _without_null(each), name in required) for name, each in struct["properties"].items()]


def _mended(schema: Any) -> Any:
    """What stands in place of what; what nobody knows is ignored, and refused nowhere."""
    if isinstance(schema, list):
        return [_mended(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    if INSTEAD in schema:
        more = {name: each for name, each in schema.items() if name in ("description", "default")}
        return _mended({**schema[INSTEAD], **more})
    mended = {
        name: {key: _mended(value) for key, value in each.items()} if name == "properties" else _mended(each)
        for name, each in schema.items()
        if not (name == "additionalProperties" and each is False) and not (name == "default" and each is None)
    }
    if mended.get("type") == "object" and "properties" not in mended:
        mended.setdefault("additionalProperties", True)  # without a word on it, some take that for none
    if mended.get("type") == "array":
        mended.setdefault("items", {})
    if "enum" in mended:  # all of ours are texts; of what has no type no name is generated
        mended.setdefault("type", ["string", "null"] if None in mended["enum"] else "string")
    at = mended.get("$ref")
    if isinstance(at, str):
        mended["$ref"] = _AT + _name(at.removeprefix(_AT))
    mended.pop("title", None)
    return mended


def _name(of_class: str) -> str:
    return of_class.removeprefix("Wire")


def _without_null(schema: Schema) -> Schema:
    """A parameter that is left out is null, and none can be sent as that."""
    left = {name: each for name, each in schema.items() if name not in ("anyOf", "default") or each is not None}
    kinds = [each for each in left.get("anyOf", ()) if each != {"type": "null"}]
    if "enum" in left:
        left["enum"] = [each for each in left["enum"] if each is not None]
        left["type"] = "string"
    if len(kinds) == 1:
        del left["anyOf"]
        return {**kinds[0], **left}
    return left


def _documented(schema: Schema, docs: Mapping[str, str]) -> Schema:
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split("\n\n")[0].split())
    for name, text in docs.items():
        field = schema.get("properties", {}).get(name)
        if field is not None:
            field.setdefault("description", text)
    return schema


def _docs(types: Iterable[Any]) -> dict[str, dict[str, str]]:
    """What the docstring of every struct says of its fields, by their names on the wire."""
    docs: dict[str, dict[str, str]] = {}

    def note(info: msgspec.inspect.Type) -> None:
        if isinstance(info, msgspec.inspect.StructType) and info.cls.__name__ not in docs:
            said = attribute_docs(info.cls)
            docs[info.cls.__name__] = {
                field.encode_name: said[field.name] for field in info.fields if field.name in said
            }
            for field in info.fields:
                note(field.type)
        for name in ("item_type", "value_type", "type"):
            inner = getattr(info, name, None)
            if isinstance(inner, msgspec.inspect.Type):
                note(inner)
        for inner in getattr(info, "types", ()) or ():
            note(inner)

    for each in types:
        note(msgspec.inspect.type_info(each))
    return docs
