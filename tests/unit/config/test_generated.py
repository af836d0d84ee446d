"""What is made from code is fresh, and says what the loader reads."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from config.catalog_shape import catalog_shape
from config.generate import SETTINGS_PAGE, generated
from config.loader import demo_catalog, shipped_catalog
from config.schema import catalog_schema
from config.setting_values import PREFIX
from config.settings import Settings

FILES = sorted([*shipped_catalog().glob("*.yaml"), *demo_catalog().glob("*.yaml")])
SCHEMA = catalog_schema()


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_it_is_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generated()[path], "run: python -m config.generate"


def test_every_setting_is_documented() -> None:
    page = SETTINGS_PAGE.read_text(encoding="utf-8")
    for row in fields(Settings):
        assert row.metadata["help"], f"{row.name} has no help"
        assert f"`{PREFIX}{row.name.upper()}`" in page


def test_every_field_of_the_catalog_says_what_it_is() -> None:
    groups = {"Catalog": SCHEMA, **SCHEMA["$defs"]}
    assert set(groups) >= {"Catalog", "Placement", "Content", "RewardRule", "AffinitySpec", "Source", "PolicySpec"}
    for name, group in groups.items():
        assert group["description"]
        for field, schema in group["properties"].items():
            assert schema.get("description"), f"{name}.{field} says nothing in its docstring"
    assert set(SCHEMA["properties"]) == set(catalog_shape().fields)


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_the_shipped_files_name_the_schema_and_fit_it(file: Path) -> None:
    first = file.read_text(encoding="utf-8").split("\n")[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named
    assert msgspec.json.decode((file.parent / named[1]).read_bytes()) == SCHEMA
    assert violations(as_an_editor_reads(file.read_text(encoding="utf-8")), SCHEMA) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("placements: {p: {content: [a], default: a, windw: 3m}}", "placements.p.windw"),
        ("placements: {p: {content: [a]}}", "placements.p"),
        ("placements: {p: {content: [a], default: a, window: 30}}", "placements.p.window"),
        ("placements: {p: {content: [a], default: a, window: soon}}", "placements.p.window"),
        ("placements: {p: {content: [a], default: a, control: best}}", "placements.p.control"),
        ("placements: {p: {content: [a], default: a, policy: thomson}}", "placements.p.policy"),
        (
            "placements: {p: {content: [a], default: a, policy: {name: thompson, parameters: {scal: 1}}}}",
            "placements.p.policy.parameters.scal",
        ),
        (
            "placements: {p: {content: [a], default: a, policy: {parameters: {alpha: -1}}}}",
            "placements.p.policy.parameters.alpha",
        ),
        ("content: {a: {cap: 3 per week}}", "content.a.cap"),
        ("content: {a: {cap: [2 per 7d, 3 per group]}}", "content.a.cap"),
        ("content: {a: {cap: {limit: 3, of: place}}}", "content.a.cap"),
        ("content: {a: {starts: soon}}", "content.a.starts"),
        ("segmnts: {}", "segmnts"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str, where: str) -> None:
    assert any(place.startswith(where) for place in violations(as_an_editor_reads(text), SCHEMA))


def as_an_editor_reads(text: str) -> Any:
    """YAML 1.2 as editors read it: dates are text, and so are yes and no."""

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {  # noqa: RUF012 (the base's own type)
            letter: [(tag, found) for tag, found in resolvers if not tag.endswith(":timestamp")]
            for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
            if letter not in "yYnNoO"
        }

    return yaml.load(text, Loader)


TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def violations(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """Where ``value`` does not fit: the few words of JSON Schema that ours uses, and no others."""
    unknown = schema.keys() - {
        *("$schema", "$defs", "$ref", "title", "description", "default", "examples"),
        *("type", "enum", "const", "pattern", "anyOf", "items", "minItems", "maxItems"),
        *("properties", "additionalProperties", "required", "minimum", "maximum"),
    }
    assert not unknown, f"this check does not know {unknown}"
    if "$ref" in schema:
        return violations(value, SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], where)
    if "anyOf" in schema:
        branches = [violations(value, branch, where) for branch in schema["anyOf"]]
        least = min(branches, key=lambda found: (len(found), -max((len(place) for place in found), default=0)))
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return [*least, *violations(value, rest, where)]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(
        isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool) for kind in kinds
    ):
        return [where]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(where)
    if "const" in schema and value != schema["const"]:
        found.append(where)
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(where)
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(where)
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(where)
        for n, item in enumerate(value):
            found += violations(item, schema.get("items", {}), f"{where}[{n}]")
    if isinstance(value, dict):
        found += [where for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            inside = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
            here = f"{where}.{name}" if where else name
            if inside is False:
                found.append(here)
            elif isinstance(inside, dict):
                found += violations(item, inside, here)
    return found
