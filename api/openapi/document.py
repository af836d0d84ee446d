"""The API's description, OpenAPI 3.1: made of the routes, and of the structs they read and answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from api.access.permissions import GRANTED, WRITE
from api.access.shown_key import IN_ADDRESS
from api.errors import ErrorAnswer
from api.http.description import Description, Given
from api.http.dialect import Dialect, Route
from api.openapi.schemas import Schemas, parameters_of

ERROR = ErrorAnswer.__name__
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_WORD = re.compile(r"[A-Za-z0-9]+")
_OF_KEYS = (401, 403, 429, 503)
_OF_BODIES = (400, 408, 413)
_OWN = ("own", "sdk", "health", "description")

_ABOUT = """\
JSON, camelCase; times are integer milliseconds since 1970 (`…Ms`), durations too. Members of a body that nobody
knows are ignored, and counted; parameters of an address that nobody knows are refused. Every error has one shape,
and names the field and the remedy. In a path an id is percent-encoded as a whole: `%2F` is a slash of the id, and
separates nothing. Paths without a description of their bodies are those of other protocols; each is a tag, which
says where it is described. A body is JSON, and so is an answer unless its type is told."""

SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`."},
    "basic": {"type": "http", "scheme": "basic", "description": "The key as the user's name."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "address": {
        "type": "apiKey",
        "in": "query",
        "name": IN_ADDRESS[0],
        "description": 'A write key alone, as beacons need it; it may also stand in the body, as `"writeKey"`.',
    },
}


def document(dialects: Sequence[Dialect]) -> dict[str, Any]:
    """The description of all that several dialects answer."""
    described = [(dialect, route) for dialect in dialects for route in dialect.routes]
    schemas = Schemas(_types(route.description for _, route in described if route.description is not None))
    paths: dict[str, dict[str, Any]] = {}
    for dialect, route in described:
        for method in route.methods:
            if method != "HEAD":  # it is GET without the body
                operations = paths.setdefault(_path(route), {})
                operations[method.lower()] = _operation(dialect, route, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nextbest",
            "version": "1",
            "summary": "Decides which content a visitor should see, and learns from what happens next.",
            "description": " ".join(_ABOUT.split()),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [_tag(dialect) for dialect in dialects],
        "paths": paths,
        "components": {"securitySchemes": SCHEMES, "schemas": dict(sorted(schemas.components.items()))},
    }


def _types(descriptions: Iterable[Description]) -> list[Any]:
    types: list[Any] = [ErrorAnswer]
    for description in descriptions:
        types += (*description.body, *description.parts)
        for given in description.given.values():
            types += (each for some in given.types.values() for each in some)
    return types


def _tag(dialect: Dialect) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": dialect.name}
    if dialect.name not in _OWN:
        page = f"docs/dialects/{dialect.name}.md"
        tag["description"] = f"`{page}` of nextbest's documentation says what is sent and answered."
    return tag


def _path(route: Route) -> str:
    return _PARAMETER.sub(lambda match: f"{{{_camel(match[1])}}}", route.path)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _operation(dialect: Dialect, route: Route, method: str, schemas: Schemas) -> dict[str, Any]:
    description = route.description
    operation: dict[str, Any] = {
        "operationId": _operation_id(dialect, route, method),
        "tags": [dialect.name],
        **_access(route),
    }
    parameters = list(_parameters(route))
    if parameters:
        operation["parameters"] = parameters
    if description is None:
        return {**operation, "responses": {"default": {"description": f"As {dialect.name} has it."}}}
    operation["summary"] = description.summary
    if description.body:
        content: dict[str, Any] = {"schema": schemas.one_of(description.body)}
        if description.example is not None:
            content["example"] = description.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    given = {**_errors(route), **{status: _given(each, schemas) for status, each in description.given.items()}}
    return {**operation, "responses": {str(status): given[status] for status in sorted(given)}}


def _operation_id(dialect: Dialect, route: Route, method: str) -> str:
    """A name that no other operation has: those of other protocols have several paths for one thing."""
    if route.description is None:
        words = _WORD.findall(_path(route)) + ["slash"] * route.path.endswith("/")
        return _camel("_".join([method.lower(), *words]))
    in_several_ways = sum(each.name == route.name for each in dialect.routes) > 1
    return _camel(f"{route.name}_{method.lower()}" if in_several_ways else route.name)


def _access(route: Route) -> dict[str, Any]:
    """Who may call it."""
    if route.permission is None:
        return {"description": "Everybody may.", "security": []}
    roles = [role for role, allowed in GRANTED.items() if route.permission in allowed]
    schemes = ["bearer", "basic", "header", *(["address"] if route.permission in WRITE else [])]
    return {
        "description": f"Needs the permission `{route.permission}`, which keys of role {', '.join(roles)} have.",
        "security": [{scheme: []} for scheme in schemes],
    }


def _parameters(route: Route) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(route.path):
        yield {
            "name": _camel(name),
            "in": "path",
            "required": True,
            "schema": {"type": "string", "minLength": 1},
        }
    description = route.description
    if description is None:
        return
    if description.query is not None:
        for name, schema, is_required in parameters_of(description.query):
            what = schema.pop("description", "")
            yield {"name": name, "in": "query", "required": is_required, "description": what, "schema": schema}
    for name, what in description.headers.items():
        yield {"name": name, "in": "header", "description": what, "schema": {"type": "string"}}


def _errors(route: Route) -> dict[int, dict[str, Any]]:
    description = route.description
    statuses: set[int] = set() if description is None else {*description.errors}
    if route.permission is not None:
        statuses |= {*_OF_KEYS}
    if description is not None and description.body:
        statuses |= {*_OF_BODIES}
    if not route.is_fixed or (description is not None and description.query is not None):
        statuses.add(400)
    shape = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ERROR}"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": shape} for status in statuses}


def _given(given: Given, schemas: Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": given.what}
    if given.headers:
        answer["headers"] = {
            name: {"description": what, "schema": {"type": "string"}} for name, what in given.headers.items()
        }
    if given.types:
        answer["content"] = {
            media_type: {"schema": schemas.one_of(types)} for media_type, types in given.types.items()
        }
    return answer
