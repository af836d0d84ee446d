"""The description as a page: no script, nothing from elsewhere, and a policy that allows neither."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

STYLE = """\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2,p,li,td:last-child{overflow-wrap:anywhere}
h2{margin-top:2.5rem;border-top:1px solid;padding-top:1rem}
h3{margin-bottom:.25rem}
code,pre{font-family:ui-monospace,monospace;font-size:.9em}
pre{padding:.75rem;border:1px solid;overflow:auto}
table{border-collapse:collapse;width:100%}
caption{text-align:left;font-weight:bold;padding-top:.75rem}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid}
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_STYLE_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_CODE = re.compile(r"`([^`]+)`")


def page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document of ours."""
    info = document["info"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    ours = [each for each in operations if "summary" in each[2]]
    sections = "".join(_operation(*each) for each in ours)
    of_others = "".join(_protocol(tag, operations) for tag in document["tags"] if "description" in tag)
    components = "".join(_component(name, each) for name, each in document["components"]["schemas"].items())
    title = f"{escape(info['title'])}: the HTTP API"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>'
        f"<h1>{title}</h1><p>{_text(info['summary'])}</p><p>{_text(info['description'])}</p>{_keys(document)}"
        f"<h2>What can be called</h2><ul>{''.join(_link(*each) for each in ours)}</ul>{sections}"
        f'<h2 id="protocols">Protocols of others</h2>{of_others}'
        f"<h2>What is sent and answered</h2>{components}</main></body></html>\n"
    )


def _keys(document: Mapping[str, Any]) -> str:
    ways = {
        name: each.get("description") or f"The header `{each['name']}`."
        for name, each in document["components"]["securitySchemes"].items()
    }
    rows = "".join(f"<li>{escape(name)}: {_text(each)}</li>" for name, each in ways.items())
    return f"<h2>Where a key stands</h2><ul>{rows}</ul>"


def _link(method: str, path: str, operation: Mapping[str, Any]) -> str:
    name = f"{method.upper()} {path}"
    return (
        f'<li><a href="#{escape(operation["operationId"])}"><code>{escape(name)}</code></a> '
        f"{_text(operation['summary'])}</li>"
    )


def _protocol(tag: Mapping[str, Any], operations: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """A protocol of others: its paths, and where it is described."""
    paths = "".join(
        f"<li><code>{method.upper()} {escape(path)}</code></li>"
        for method, path, operation in operations
        if tag["name"] in operation["tags"]
    )
    return f"<h3>{escape(tag['name'])}</h3><p>{_text(tag['description'])}</p><ul>{paths}</ul>"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    example = json.dumps(body["example"], indent=2, ensure_ascii=False) if "example" in body else ""
    parameters = [
        (
            f"<code>{escape(each['name'])}</code>",
            f"{each['in']}, {_type(each['schema'])}{', required' if each.get('required') else ''}",
            _text(each.get("description", "")),
        )
        for each in operation.get("parameters", ())
    ]
    answers = [
        (", ".join(statuses), body, ", ".join(words)) for body, (statuses, words) in _by_body(operation).items()
    ]
    return (
        f'<h2 id="{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code></h2>'
        f"<p>{_text(operation['summary'])}</p><p>{_text(operation['description'])}</p>"
        + _table("Parameters", ("name", "what", ""), parameters)
        + (f"<p>Body: {_type(body['schema'])}</p>" if body else "")
        + (f"<pre>{escape(example)}</pre>" if example else "")
        + _table("Answers", ("status", "body", ""), answers)
    )


def _by_body(operation: Mapping[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """Answers by their body: statuses, and what each says. Errors are all alike."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for status, answer in operation["responses"].items():
        statuses, words = found.setdefault(_answered(answer), ([], []))
        statuses.append(status)
        words.append(_text(answer["description"]))
    return found


def _answered(answer: Mapping[str, Any]) -> str:
    return "; ".join(
        _type(each["schema"]) + ("" if media_type == "application/json" else f" ({escape(media_type)})")
        for media_type, each in answer.get("content", {}).items()
    )


def _component(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            f"<code>{escape(field)}</code>",
            f"{_type(each)}{', required' if field in required else ''}",
            _text(each.get("description", "")),
        )
        for field, each in schema.get("properties", {}).items()
    ]
    told = "" if rows else f"<p>{_type(schema)}</p>"
    heading = f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{_text(schema.get("description", ""))}</p>'
    return heading + told + _table("", ("field", "type", ""), rows)


def _table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{each}</th>' if each else "<td></td>" for each in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    said = f"<caption>{caption}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    return " or ".join(dict.fromkeys(_types(schema))) or "anything"


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        yield f'<a href="#{escape(name)}">{escape(name)}</a>'
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _types(each)
    if "enum" in schema:
        yield from (f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
        return
    kinds = schema.get("type", ())
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind == "array":
            yield f"list of {_type(schema.get('items', {}))}"
        elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            yield f"object of {_type(schema['additionalProperties'])}"
        else:
            yield str(kind)


def _text(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
