"""Whatever a visitor's value is, a page reads the same tags, attributes and destinations as with a harmless one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import html5lib
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from personalization.audience.variables import VisitorScope
from personalization.catalog.body_check import body_mistakes
from personalization.catalog.catalog import Catalog, Content
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.render import Renderer
from personalization.visitor.visitor_state import VisitorState

Node: TypeAlias = tuple[str, list[tuple[str, Any]], list[Any]]

COMPILED = compile_catalog(Catalog(placements={}, content={}), 1)
URLS = {"action", "cite", "data", "formaction", "href", "poster", "src"}
NAMES = ("a", "b", "c")

HOSTILE = [
    "javascript:alert(1)", "data:text/html,<script>", "//evil.example", "/\\evil.example/",
    "https://evil.example/",
    "\\\\evil.example", "\t//evil", "java\tscript:x", "..", ".", "../..", "@evil.example", ":80@evil.example/",
    '" onclick="x()', "' onclick='x()", "` onclick=x() ", "><script>x()</script>", "</script><script>x()",
    "--><img src=x>",
    "]]><b>", "</style><b>", "</b></p></div>", "<", ">", "&", "&lt;b&gt;", "&#60;b&#62;", "&colon;", "colon;",
    "#x3c;b>",
    "lt;script>", "\x00", "\x00<b>", "\n", "\r\n<b>", " ", "=", "/", "//", "?", "#", "%2f", "{{traits.b}}",
    "\u2028<b>",
    "ＡＢ＜b＞", "\ufeff//evil", "İ<b>", "🦊", "\ud800", "\\", "\u00a0=x", "x" * 50,
]  # fmt: skip

WELL_FORMED = [
    "<p>", "</p>", "<b>", "</b>", "<b title=x>", "<div class='c'>", "</div>", "<br/>", "<li>", "<table><tr><td>",
    "</table>", "<svg>", "</svg>", "<svg><desc>", "<math><mi>", "</math>", "<select>", "</select>", "<option>",
    "<style>p {}</style>", "<style>a<b</style>", "<script>x</script>", "<script>a<b</script>",
    "<textarea>t</textarea>",
    "<title>", "</title>", "<noscript>", "</noscript>", "<xmp>", "</xmp>", "<!-- c -->", "<!doctype html>",
    "<template>",
    "</template>", "<iframe src='/x'></iframe>", "<button formaction='/x'>", "<input value='", "<plaintext>",
    "<a>", "</a>",
]  # fmt: skip
OPENING = [
    '<a href="', "<a href='", '<a href="https://shop.example/', '<a href="/', '<a href="/a/', '<a href="?q=',
    '<a href="//',
    '<a href="https://', '<a href="https:/', '<a href="mailto:', '<a href="sale/', '<img src="/i/', '<img alt="',
    "<p title='", '<p data-x="', '<p aria-label="', '<p class="', '<p id="', '<p style="', '<p onclick="',
    "<p title=",
    '<form action="/', "<p ", "<", "</", "<p", "<!--", "<!", "<?", "<style>", "<script>", '<iframe srcdoc="',
    '<a href="java', '<a href="&#47;', '<svg><a xlink:href="', '<svg><style><a title="',
    '<svg><desc><p></svg></p></desc><style><a onclick="',
    '<select><xmp></select><a onclick="', '<math><mtext><xmp><a title="', '<a href="/\t',
    '<p title="x"class="', '<a href="/?a&',
]  # fmt: skip
LOOSE = [
    '"', "'", ">", "<", "=", "&", "/", " ", "-->", '">', "'>", '"/>', "</style>", "</script>", "</xmp>",
    "]]>",
    "<![CDATA[", "text", "&amp;", "\n", ";", "evil.example", "//", ":", "`", "onclick=", "--!>",
    "</svg>",
]  # fmt: skip
VARIABLES = [
    "{{traits.a}}",
    "{{traits.b}}",
    "{{ traits.c | you & me }}",
    "{{traits.a|x/y}}",
    "{{traits.b|/z}}",
    "{{traits.c|it's}}",
]


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


def rendered(template: str, values: dict[str, Any], type_: str = "html") -> str:
    content = Content(type=type_, body=template, trusted=True)  # type: ignore[arg-type]  # html or redirect
    scope = VisitorScope(VisitorState(traits=values), {}, COMPILED, 0, False)
    answer = Renderer(content).render(scope)
    text = answer["html" if type_ == "html" else "url"]
    assert isinstance(text, str)
    return text


def is_published(template: str, type_: str = "html") -> bool:
    content = Content(type=type_, body=template, trusted=True)  # type: ignore[arg-type]  # as above
    return not list(body_mistakes(content, template, ["shop"]))


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


@settings(
    max_examples=1_500, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], deadline=None
)
@given(TEMPLATES, st.lists(VALUES, min_size=3, max_size=3), st.booleans())
@example('<a href="/{{traits.a}}">x</a>', ["/evil.example"] * 3, False)
@example('<select><xmp></select><a onclick="</xmp>{{traits.a}}">x</a>', ["y()"] * 3, True)
@example('<svg><style><a onclick="</style>{{traits.a}}">x</a></svg>', ["y()"] * 3, True)
@example('<svg><desc><p></svg></p></desc><style><a onclick="</style>{{traits.a}}">x</a>', ["y()"] * 3, True)
@example('<svg><![CDATA[<a onclick="]]>{{traits.a}}">x</a></svg>', ["y()"] * 3, True)
@example("<script><!--<script></script>{{traits.a}}</script>", ["y()"] * 3, True)
@example('<!--><a title="-->{{traits.a}}">', ["y()"] * 3, True)
@example('<noscript><a title="</noscript>{{traits.a}}">x</a>', ['" onclick="'] * 3, True)
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
