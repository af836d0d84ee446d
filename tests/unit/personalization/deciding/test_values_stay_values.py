"""Whatever a visitor's value is, a page reads the same tags, attributes and destinations as with a harmless one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import html5lib
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.hostile_bodies import (
    HOSTILE,
    LOOSE,
    NAMES,
    OPENING,
    TRICKS,
    VARIABLES,
    WELL_FORMED,
    is_published,
    rendered,
)

Node: TypeAlias = tuple[str, list[tuple[str, Any]], list[Any]]

URLS = {"action", "cite", "data", "formaction", "href", "poster", "src"}


def pieces() -> st.SearchStrategy[str]:
    spot = st.tuples(
        st.sampled_from(OPENING), st.sampled_from(VARIABLES), st.sampled_from(['">', "'>", "", '" x>', '/y">'])
    )
    return st.one_of(
        spot.map("".join), st.sampled_from(WELL_FORMED), st.sampled_from(VARIABLES), st.sampled_from(LOOSE)
    )  # fmt: skip


TEMPLATES = st.lists(pieces(), min_size=1, max_size=8).map("".join)
VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map("".join),
    st.text(alphabet=st.sampled_from("<>\"'`&;:/\\#?=-!x \n\x00"), min_size=1, max_size=12),
)


def tree(text: str, scripting: bool) -> list[Node]:
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    root = parser.parseFragment(text.encode("utf-8", "replace").decode(), container="div", scripting=scripting)
    return [shape(child) for child in root]


def shape(node: Any) -> Node:
    tag = "comment" if callable(node.tag) else node.tag
    attributes = [(str(name), destination(str(name), value)) for name, value in node.attrib.items()]
    return (tag, sorted(attributes), [shape(child) for child in node])


def destination(name: str, value: str) -> Any:
    """Where a URL leads, read as browsers do; the value itself where a page would run it."""
    if name.rpartition("}")[2].rpartition(":")[2] in URLS:
        return leads_to(value)
    return value if name.startswith("on") or name in ("style", "srcdoc", "id") else None


def leads_to(url: str) -> tuple[str, str]:
    url = re.sub(r"[\t\r\n]", "", url).strip("".join(map(chr, range(33)))).replace("\\", "/")
    url = re.sub(r"^(https?):/*", r"\1://", url, flags=re.IGNORECASE)
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", url)
    if scheme and not url.lower().startswith("http"):
        return scheme[0].lower(), ""
    parts = urlsplit(urljoin("https://page.example/dir/", url))
    return parts.scheme, parts.netloc


@pytest.mark.parametrize("template", TRICKS)
@pytest.mark.parametrize("scripting", [True, False])
@pytest.mark.parametrize("value", ["/evil.example", "y()", '" onclick="'])
def test_no_trick_of_parsers_lets_a_value_out(template: str, value: str, scripting: bool) -> None:
    said, harmless = (dict.fromkeys(NAMES, each) for each in (value, "Ada"))
    assert not is_published(template) or (
        tree(rendered(template, said), scripting) == tree(rendered(template, harmless), scripting)
    )


@settings(
    max_examples=1_500, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None
)
@given(TEMPLATES, st.lists(VALUES, min_size=3, max_size=3), st.booleans())
def test_a_value_changes_no_tag_attribute_or_destination(template: str, values: list[str], scripting: bool) -> None:
    if not is_published(template):
        return
    # A letter more: whether there is text may move a tag (a <b> never closed), what it says may not.
    hostile = {name: f"{value}x" for name, value in zip(NAMES, values, strict=True)}
    harmless = dict.fromkeys(NAMES, "Ada")
    assert tree(rendered(template, hostile), scripting) == tree(rendered(template, harmless), scripting)


@settings(max_examples=500, deadline=None)
@given(TEMPLATES, st.sampled_from([*HOSTILE, None]))
@example('<a href="/{{traits.a}}/evil.example">x</a>', None)
@example('<a href="/{{traits.a}}{{traits.b|/evil.example}}">x</a>', None)
@example('<a href="/{{traits.a|\t/evil.example}}">x</a>', None)
@example("<p title='{{traits.c|it's x=y}}'>x</p>", None)
@example("<p>{{traits.a|<b>you</b>}}</p>", None)
def test_a_missing_or_odd_value_brings_nothing_new(template: str, value: str | None) -> None:
    if not is_published(template):
        return
    values = {} if value is None else dict.fromkeys(NAMES, value)
    found, harmless = (tree(rendered(template, each), False) for each in (values, dict.fromkeys(NAMES, "Ada")))
    assert set(elements(found)) == set(elements(harmless))


def elements(nodes: list[Node]) -> Iterator[str]:
    """Each element with its attributes, wherever it stands."""
    for tag, attributes, inner in nodes:
        yield repr((tag, attributes))
        yield from elements(inner)


STARTS = [
    "https://shop.example/", "https://", "/", "//", "", "javascript:", "shop://", "shop://x/", "shop:", "java",
    "https://shop.example", "?q=", "sale/", "https:/", "/\t", "\\", "/a", "HTTPS://shop.example?",
    "data:",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(
    st.tuples(
        st.sampled_from(STARTS),
        st.lists(st.sampled_from([*VARIABLES, "/", "//", "evil.example", ":", "@"]), max_size=5),
    ),
    st.one_of(st.none(), VALUES),
)
def test_a_value_decides_no_scheme_and_no_host_of_a_redirect(
    parts: tuple[str, list[str]], value: str | None
) -> None:
    template = parts[0] + "".join(parts[1])
    if not is_published(template, "redirect"):
        return
    values = {} if value is None else dict.fromkeys(NAMES, value)
    url, harmless = (rendered(template, each, "redirect") for each in (values, dict.fromkeys(NAMES, "Ada")))
    assert leads_to(url) == leads_to(harmless)
    assert leads_to(url)[0] not in ("javascript:", "data:", "vbscript:")


@given(TEMPLATES)
@settings(max_examples=500, deadline=None)
def test_whatever_was_published_before_is_rendered(template: str) -> None:
    assert isinstance(rendered(template, dict.fromkeys(NAMES, "Ada")), str)
