"""HTML whose author is not trusted shows something and runs nothing; what would is named, with its place."""

from __future__ import annotations

import pytest

from personalization.catalog.html_cleaning import REMEDY, removals
from personalization.catalog.template import mask

REFUSED = {
    "<p>a</p><script>x()</script>": (8, "<script> may do more than show something"),
    "<p>a</p>\n<P OnClick='x()'>b</P>": (12, "<p> has onclick, which may run something"),
    '<iframe src="https://video.example/1"></iframe>': (0, "<iframe> may do more than show something"),
    "<style>p {}</style>": (0, "<style> may do more than show something"),
    '<form action="/a">b</form>': (0, "<form> may do more than show something"),
    "<svg><path/></svg>": (0, "<svg> may do more than show something"),
    '<a href="javascript:x()">a</a>': (3, "href of <a> begins with javascript:, which may run something"),
    '<a href="java&#10;script:x()">a</a>': (3, "href of <a> begins with javascript:, which may run something"),
    '<a href="&#106;avascript:x()">a</a>': (3, "href of <a> begins with javascript:, which may run something"),
    '<img src="data:image/svg+xml,a">': (5, "src of <img> begins with data:, which may run something"),
    '<video poster="javascript:x()">': (7, "poster of <video> begins with javascript:, which may run something"),
    '<a href="other://x">a</a>': (3, "href of <a> begins with other:, which may run something"),
    '<div data-hx-get="/x">a</div>': (5, "<div> has data-hx-get, which may run something"),
    '<div data-bind="html: x">a</div>': (5, "<div> has data-bind, which may run something"),
    '<div data-on-load="x()">a</div>': (5, "<div> has data-on-load, which may run something"),
    '<button formaction="/x">a</button>': (8, "<button> has formaction, which may run something"),
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_could_run_is_named(body: str) -> None:
    offset, what = REFUSED[body]
    assert (offset, f"{what}; {REMEDY}") in list(removals(mask(body)))


@pytest.mark.parametrize("body", ["<b>a</b><img src=x onerror=x()//", "<b>a</b><!-- b", "<b>a</b><a title='b"])
def test_a_body_ends_outside_of_tags_and_comments(body: str) -> None:
    assert [(at, what.partition(",")[0]) for at, what in removals(mask(body))] == [
        (8, "a tag or comment is never closed")
    ]


@pytest.mark.parametrize("body", ["<a/onclick=x()>a</a>", '<p title="a"onclick=x()>a'])
def test_what_only_a_browser_can_read_is_refused_though_it_cannot_be_named(body: str) -> None:
    [(_, message)] = removals(mask(body))
    assert message.endswith(REMEDY)


@pytest.mark.parametrize(
    "body",
    [
        '<section class="hero" id="a"><h1 style="color: red">Hi</h1><a href="/" target="_blank">a</a></section>',
        '<button type="button" data-sku="a" aria-label="b">Add</button>',
        '<picture><source srcset="/a.webp 2x" media="(x)"><img src="/a.png" alt="" loading="lazy"></picture>',
        '<video src="/a.mp4" controls muted autoplay loop poster="/a.png"></video>',
        '<a href="shop://rate">a</a> <a href="mailto:a@shop.example">b</a> <a href="//cdn.example/x">c</a>',
        "<table><tr><td colspan=2>a</td></tr></table><table><col><td>b</table></p><image src=/a></br>",
        "<p>never closed <br> a < b & c <!-- hidden -->",
        "<p title='a>b' hidden>{{traits.x}}</p>",
        "a <3 b",
    ],
)
def test_what_shows_something_is_taken_as_it_is_written(body: str) -> None:
    assert list(removals(mask(body), ["shop"])) == []
