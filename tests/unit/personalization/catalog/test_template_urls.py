"""A redirect leads where its author says: no value decides scheme or host, and no scheme runs code."""

from __future__ import annotations

import pytest

from personalization.catalog.template import mask
from personalization.catalog.template_urls import redirect_mistake

DECIDES = "{{traits.x}} may decide where this leads; "
REFUSED = {
    "{{traits.x}}": DECIDES,
    "{{traits.x|https}}://shop.example/": "may decide where this leads",
    "https://{{traits.x}}.shop.example/": "{{traits.x}} may decide",
    "https://shop.example{{traits.x}}": DECIDES,
    "https://a@{{traits.x}}/": DECIDES,
    "https:/{{traits.x}}": DECIDES,
    "//{{traits.x}}": DECIDES,
    "/\\{{traits.x}}": DECIDES,
    "/{{traits.x}}/sale": DECIDES,
    "shop:{{traits.x}}": DECIDES,
    "shop://{{traits.x}}": DECIDES,
    "other://a/{{traits.x}}": DECIDES,
    "javascript:/{{traits.x}}": DECIDES,
    "javascript:x()": "begins with javascript:",
    " JavaScript:x()": "begins with javascript:",
    "java\nscript:x()": "begins with javascript:",
    "\x01data:text/html,a": "begins with data:",
    "vbscript:x": "begins with vbscript:",
    "other://a": "redirect_schemes: [other]",
    "mailto:a@shop.example": "redirect_schemes: [mailto]",
    "https:/sale": "names no host; write https://shop.example/…",
    "http:sale": "names no host; write http://shop.example/…",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_redirect_that_could_lead_elsewhere_is_refused(url: str) -> None:
    told = redirect_mistake(mask(url), {"shop"})
    assert told is not None
    assert REFUSED[url] in told


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/a?name={{traits.x}}&b={{traits.y}}",
        "/sale",
        "/sale/{{traits.x}}",
        "/{{traits.x}}",
        "/{{traits.x|all}}/sale",
        "?q={{traits.x}}",
        "#a",
        "sale/{{traits.x}}",
        "//cdn.example/{{traits.x}}",
        "shop://rate",
        "SHOP://rate/{{traits.x}}",
        "shop:///{{traits.x}}",
        "shop:rate?of={{traits.x}}",
        "https://shop.example/\n",
    ],
)
def test_a_redirect_whose_author_says_where_it_leads_is_taken(url: str) -> None:
    assert redirect_mistake(mask(url), {"shop"}) is None
