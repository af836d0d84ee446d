"""Content by language, with the visitor's own words filled in and escaped."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Content
from personalization.deciding.render import Renderer
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.scenes import NOW, catalog


def scope(context: dict[str, Any] | None = None, **traits: Any) -> VisitorScope:
    return VisitorScope(VisitorState(traits=traits), context or {}, catalog().catalog, NOW, False)


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (Content(type="html", body="<b>Hi {{traits.name|there}}</b>"), "<b>Hi &lt;i&gt;&quot;A&quot;</b>"),
        (Content(type="html", body="{{ traits.none | you &amp; me }}!"), " you &amp; me !"),
        (Content(type="html", body="{{traits.none}}"), ""),
        (Content(type="html", body="{{nonsense|x}} {{traits|y}} {{event_count}}"), "x y 0"),
        (Content(type="html", body="{{traits.vip}} {{traits.points}}"), "true 3"),
        (Content(type="html", body='<a href="/{{traits.name}}">'), '<a href="/%3Ci%3E%22A%22">'),
        (Content(type="html", body='<a href="/{{traits.dots|all}}/b">'), '<a href="/all/b">'),
    ],
)
def test_variables_in_html_are_escaped(content: Content, shown: str) -> None:
    rendered = Renderer(content).render(scope(name='<i>"A"', vip=True, points=3.0, dots=".."))
    assert rendered == {"type": "html", "html": shown}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (Content(type="html", body="<p onclick='go({{traits.q|0}})'>"), "<p onclick='go(0)'>"),
        (Content(type="html", body="<script>'{{traits.q}}'</script>"), "<script>''</script>"),
        (Content(type="html", body='<a href="{{traits.q|/a}}">{{traits.q}}'), '<a href="/a">x:y'),
        (Content(type="redirect", body="{{traits.q|https://shop.example/}}"), "https://shop.example/"),
    ],
)
def test_what_was_published_before_shows_no_value_where_none_may_stand(content: Content, shown: str) -> None:
    rendered = Renderer(content).render(scope(q="x:y"))
    assert rendered["html" if content.type == "html" else "url"] == shown


def test_variables_in_a_redirect_are_percent_encoded() -> None:
    content = Content(type="redirect", body="https://x.example/?q={{traits.q|all}}")
    assert Renderer(content).render(scope(q="a&b=c"))["url"] == "https://x.example/?q=a%26b%3Dc"


def test_variables_within_json() -> None:
    content = Content(body={"title": "Hi {{traits.name|you}}", "items": ["{{traits.name}}", 3, None]})
    assert Renderer(content).render(scope(name="Ada"))["json"] == {"title": "Hi Ada", "items": ["Ada", 3, None]}


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("de-AT", "Servus"),
        ("de_at", "Servus"),
        ("de-CH-1901", "Hallo"),
        ("fr", "Hello"),
        (None, "Hello"),
        (7, "Hello"),
    ],
)
def test_the_best_language_is_served(locale: object, shown: str) -> None:
    content = Content(type="html", body="Hello", locales={"de": "Hallo", "de-AT": "Servus"})
    assert Renderer(content).render(scope({"locale": locale}))["html"] == shown
