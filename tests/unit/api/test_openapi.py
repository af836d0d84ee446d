"""The API's description: whole, valid, and what is answered at ``/openapi.json`` and ``/docs``."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import html5lib
import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from api.app import ANSWERED
from api.http.query import QueryReader
from api.openapi.document import document
from tests.servers import ROOT
from tests.unit.api.site import Site

DOCUMENT = document(ANSWERED)
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method}-{path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
OURS = ("own", "sdk", "health", "description")


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for each in schema.values():
            yield from references(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from references(each)


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_it_is_openapi() -> None:
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(DOCUMENT)] == []
    for schema in DOCUMENT["components"]["schemas"].values():
        assert jsonschema_rs.meta.is_valid({"$schema": DOCUMENT["jsonSchemaDialect"], **schema})


def test_every_reference_leads_somewhere_and_every_part_is_referred_to() -> None:
    parts = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) == parts


@pytest.mark.parametrize("dialect", ANSWERED, ids=lambda dialect: dialect.name)
def test_every_route_is_described_by_us_or_by_its_protocol(dialect: Any) -> None:
    if dialect.name in OURS:
        assert [route.path for route in dialect.routes if route.description is None] == []
    else:
        assert (ROOT / "docs" / "dialects" / f"{dialect.name}.md").is_file()
    for route in dialect.routes:
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda match: "{" + match[1].title().replace("_", "") + "}", route.path)
        known = {re.sub(r"\{(\w)", lambda match: "{" + match[1].upper(), each) for each in DOCUMENT["paths"]}
        assert path in known


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_example_is_what_the_schema_says(path: str, method: str, operation: dict[str, Any]) -> None:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in content:
        validator(content["schema"]).validate(content["example"])


def test_examples_are_those_that_people_read() -> None:
    text = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    shown = [json.loads(body) for body in re.findall(r"-d '(\{.*?\})'", text, re.DOTALL)]
    told = [
        operation["requestBody"]["content"]["application/json"]["example"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if "example" in operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    ]
    assert len(shown) >= 5
    assert [body for body in shown if body not in told] == []


@pytest.mark.parametrize("dialect", ANSWERED, ids=lambda dialect: dialect.name)
def test_every_parameter_that_is_told_of_is_taken_and_says_what_it_is(dialect: Any) -> None:
    for route in dialect.routes:
        if route.description is not None and route.description.query is not None:
            QueryReader(route.description.query)  # refuses types that no address can hold
            path = route.path.replace("visitor_id", "visitorId").replace(":path}", "}")
            told = DOCUMENT["paths"][path]["get" if "GET" in route.methods else route.methods[0].lower()]
            assert all(each["description"] for each in told["parameters"] if each["in"] == "query")


def schemas(within: Any) -> Iterator[dict[str, Any]]:
    if isinstance(within, dict):
        if "type" in within or "enum" in within:
            yield within
        for name, each in within.items():
            if name not in ("example", "properties"):
                yield from schemas(each)
        yield from (found for each in within.get("properties", {}).values() for found in schemas(each))
    elif isinstance(within, list):
        for each in within:
            yield from schemas(each)


def test_nothing_is_left_to_be_guessed_by_who_makes_types_of_it() -> None:
    """An object without a word on its members has none, to some; what a list holds is not told by its name."""
    kinds = {"object": 0, "array": 0, "enum": 0}
    for schema in schemas(
        {"paths": DOCUMENT["paths"], "schemas": list(DOCUMENT["components"]["schemas"].values())}
    ):
        if schema.get("type") == "object":
            kinds["object"] += 1
            assert "properties" in schema or "additionalProperties" in schema
        if schema.get("type") == "array":
            kinds["array"] += 1
            assert "items" in schema
        if "enum" in schema:
            kinds["enum"] += 1
            assert "string" in schema["type"]
    assert min(kinds.values()) > 5


def test_an_interval_says_whether_outcomes_of_one_person_count_as_one() -> None:
    told = [
        property_["description"]
        for schema in DOCUMENT["components"]["schemas"].values()
        for name, property_ in schema.get("properties", {}).items()
        if name == "interval"
    ]
    assert len(told) == 2
    assert all("as if each outcome were another person's" in each for each in told)


async def test_it_is_answered_to_everybody(site: Site) -> None:
    response = await site.client.get("/openapi.json")
    assert (response.status_code, response.json()) == (200, DOCUMENT)
    assert response.headers["access-control-allow-origin"] == "*"


async def test_the_page_shows_all_of_it_and_its_policy_allows_nothing_but_its_own_style(site: Site) -> None:
    response = await site.client.get("/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    tree = html5lib.parse(response.text, namespaceHTMLElements=False)
    told = {
        f"{method.upper()} {path}": each
        for path, some in DOCUMENT["paths"].items()
        for method, each in some.items()
    }
    ours = {name for name, operation in told.items() if operation["tags"][0] in OURS}
    headings = {"".join(each.itertext()) for each in tree.iter("h2")}
    assert {heading for heading in headings if " /" in heading} == ours
    assert {"".join(each.itertext()) for each in tree.iter("code")} >= told.keys()
    assert {each.get("id") for each in tree.iter("h3")} - {None} == set(DOCUMENT["components"]["schemas"])
    protocols = {"".join(each.itertext()) for each in tree.iter("h3") if each.get("id") is None}
    assert protocols == {dialect.name for dialect in ANSWERED} - set(OURS)
    links = [each.get("href") for each in tree.iter("a")]
    ids = {each.get("id") for each in tree.iter()}
    assert [link for link in links if link is None or link[:1] != "#" or link[1:] not in ids] == []
    (style,) = tree.iter("style")
    digest = base64.b64encode(hashlib.sha256((style.text or "").encode()).digest()).decode()
    assert policy_of(response)["style-src"] == f"'sha256-{digest}'"
    assert policy_of(response)["default-src"] == "'none'"
    assert {each.tag for each in tree.iter()}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert [each.tag for each in tree.iter() if "style" in each.attrib or "onclick" in each.attrib] == []


def policy_of(response: httpx.Response) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in response.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}
