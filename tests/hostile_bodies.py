"""Bodies and visitors' values out to break each other, for tests that read what is rendered."""

from __future__ import annotations

from typing import Any

from personalization.audience.variables import VisitorScope
from personalization.catalog.body_check import body_mistakes
from personalization.catalog.catalog import Catalog, Content
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.render import Renderer
from personalization.visitor.visitor_state import VisitorState

COMPILED = compile_catalog(Catalog(placements={}, content={}), 1)
NAMES = ("a", "b", "c")

HOSTILE = [
    "javascript:alert(1)", "data:text/html,<script>", "//evil.example", "/\\evil.example/",
    "https://evil.example/", "\\\\evil.example", "\t//evil", "java\tscript:x", "..", ".", "../..",
    "@evil.example", ":80@evil.example/", '" onclick="x()', "' onclick='x()", "` onclick=x() ",
    "><script>x()</script>", "</script><script>x()", "--><img src=x>", "]]><b>", "</style><b>", "</b></p></div>",
    "<", ">", "&", "&lt;b&gt;", "&#60;b&#62;", "&colon;", "colon;", "#x3c;b>", "lt;script>", "\x00", "\x00<b>",
    "\n", "\r\n<b>", " ", "=", "/", "//", "?", "#", "%2f", "{{traits.b}}", "\u2028<b>", "ＡＢ＜b＞", "\ufeff//evil",
    "İ<b>", "🦊", "\ud800", "\\", "\u00a0=x", "x" * 50,
]  # fmt: skip

WELL_FORMED = [
    "<p>", "</p>", "<b>", "</b>", "<b title=x>", "<div class='c'>", "</div>", "<br/>", "<li>", "<table><tr><td>",
    "</table>", "<svg>", "</svg>", "<svg><desc>", "<math><mi>", "</math>", "<select>", "</select>", "<option>",
    "<style>p {}</style>", "<style>a<b</style>", "<script>x</script>", "<script>a<b</script>",
    "<textarea>t</textarea>", "<title>", "</title>", "<noscript>", "</noscript>", "<xmp>", "</xmp>",
    "<!-- c -->", "<!doctype html>", "<template>", "</template>", "<iframe src='/x'></iframe>",
    "<button formaction='/x'>", "<input value='", "<plaintext>", "<a>", "</a>",
]  # fmt: skip
OPENING = [
    '<a href="', "<a href='", '<a href="https://shop.example/', '<a href="/', '<a href="/a/', '<a href="?q=',
    '<a href="//', '<a href="https://', '<a href="https:/', '<a href="mailto:', '<a href="sale/',
    '<img src="/i/', '<img alt="', "<p title='", '<p data-x="', '<p aria-label="', '<p class="', '<p id="',
    '<p style="', '<p onclick="', "<p title=", '<form action="/', "<p ", "<", "</", "<p", "<!--", "<!", "<?",
    "<style>", "<script>", '<iframe srcdoc="', '<a href="java', '<a href="&#47;', '<svg><a xlink:href="',
    '<svg><style><a title="', '<svg><desc><p></svg></p></desc><style><a onclick="',
    '<select><xmp></select><a onclick="', '<math><mtext><xmp><a title="', '<a href="/\t', '<p title="x"class="',
    '<a href="/?a&',
]  # fmt: skip
LOOSE = [
    '"', "'", ">", "<", "=", "&", "/", " ", "-->", '">', "'>", '"/>', "</style>", "</script>", "</xmp>", "]]>",
    "<![CDATA[", "text", "&amp;", "\n", ";", "evil.example", "//", ":", "`", "onclick=", "--!>", "</svg>",
]  # fmt: skip
VARIABLES = [
    "{{traits.a}}", "{{traits.b}}", "{{ traits.c | you & me }}", "{{traits.a|x/y}}", "{{traits.b|/z}}",
    "{{traits.c|it's}}",
]  # fmt: skip

TRICKS = [
    '<a href="/{{traits.a}}">x</a>',
    '<select><xmp></select><a onclick="</xmp>{{traits.a}}">x</a>',
    '<svg><style><a onclick="</style>{{traits.a}}">x</a></svg>',
    '<svg><desc><p></svg></p></desc><style><a onclick="</style>{{traits.a}}">x</a>',
    '<svg><![CDATA[<a onclick="]]>{{traits.a}}">x</a></svg>',
    "<script><!--<script></script>{{traits.a}}</script>",
    '<!--><a onclick="-->{{traits.a}}">',
    '<noscript><a title="</noscript>{{traits.a}}">x</a>',
    '<!-- a --!><a onclick="-->{{traits.a}}">',
    "<{{traits.a}}>",
    "<p {{traits.a}}>",
    '<a href="&#{{traits.a}};//x">x</a>',
]
"""Where a parser that is wrong about where something ends takes for text what is none."""


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
