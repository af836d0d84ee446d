"""A body that could become code is a mistake of the catalog, with the very line on which that stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import check_catalog

SHOP = """placements: {p: {content: [a], default: a}}
redirect_schemes: [shop]
content:
"""


def told(folder: Path, content: str, shop: str = SHOP) -> list[str]:
    (folder / "shop.yaml").write_text(shop + content)
    return [str(mistake) for mistake in check_catalog(folder).mistakes]


IN_THE_TEXT = "put it in the text, or in a quoted attribute such as title"
IF_MEANT = "leave it out, or write trusted: true beside the body if it is meant"


def test_a_variable_is_refused_on_its_line_of_a_block(tmp_path: Path) -> None:
    content = """  a:
    type: html
    body: |
      <p>Hello {{traits.name}}</p>

      <p title='{{traits.name}}' id="{{traits.name}}"></p>
    locales:
      de: |
        <a
          href="{{traits.url}}">a</a>
"""
    assert told(tmp_path, content) == [
        f"shop.yaml:9: content.a.body: {{{{traits.name}}}} stands in the attribute id; {IN_THE_TEXT}",
        "shop.yaml:13: content.a.locales.de: {{traits.url}} may decide where href leads; begin the URL with "
        "https://… or a /path and put the variable behind it",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("'<p>{{traits.x}}</p><script></script>'", f"<script> may do more than show something; {IF_MEANT}"),
        ("'<p>\n\n    <p onload=x()>'", f"line 2 of the text: <p> has onload, which may run something; {IF_MEANT}"),
    ],
)
def test_what_is_no_block_tells_the_line_of_the_text(body: str, message: str, tmp_path: Path) -> None:
    assert told(tmp_path, f"  a: {{type: html, body: {body}}}\n") == [f"shop.yaml:4: content.a.body: {message}"]


def test_every_unsafe_place_is_told_at_once(tmp_path: Path) -> None:
    content = "  a: {type: html, body: '<p onclick=\"x({{traits.x}})\"><script>{{traits.y}}</script>'}\n"
    assert [line.split(": ", 2)[2].split("; ")[0] for line in told(tmp_path, content)] == [
        "<p> has onclick, which may run something",
        "{{traits.x}} stands in the handler onclick",
        "<script> may do more than show something",
        "{{traits.y}} stands in <script>",
    ]


def test_who_is_trusted_may_embed_and_not_run_what_visitors_say(tmp_path: Path) -> None:
    video = '<iframe src="https://video.example/{{traits.x}}"></iframe><script>go()</script>'
    assert told(tmp_path, f"  a: {{type: html, trusted: true, body: '{video}'}}\n") == []
    said = '<script>go("{{traits.x}}")</script>'
    assert told(tmp_path, f"  a: {{type: html, trusted: true, body: '{said}'}}\n") == [
        f"shop.yaml:4: content.a.body: {{{{traits.x}}}} stands in <script>; {IN_THE_TEXT}"
    ]


def test_nothing_is_said_of_a_body_whose_type_or_trust_is_misspelt(tmp_path: Path) -> None:
    script = "body: '<script></script>'"
    assert [line.split(": ")[1] for line in told(tmp_path, f"  a: {{type: htlm, {script}}}\n")] == [
        "content.a.type"
    ]
    found = told(tmp_path, f"  a: {{type: html, trusted: sure, {script}}}\n")
    assert [line.split(": ")[1] for line in found] == ["content.a.trusted"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("shop://rate", None),
        ("/sale", None),
        (
            "other://rate",
            "begins with other:; write https://… or a /path; a scheme of your app stands in redirect_schemes: "
            "[other]",
        ),
        ("javascript:x()", "begins with javascript:, which is no address of a page; write https://… or a /path"),
        (
            "https://{{traits.x}}/",
            "{{traits.x}} may decide where this leads; begin the URL with https://… or a /path and put the "
            "variable behind it",
        ),
    ],
)
def test_a_redirect_leads_to_the_web_or_to_a_listed_app(url: str, message: str | None, tmp_path: Path) -> None:
    expected = [] if message is None else [f"shop.yaml:4: content.a.body: {message}"]
    assert told(tmp_path, f"  a: {{type: redirect, body: '{url}'}}\n") == expected


@pytest.mark.parametrize("scheme", ["javascript", "DATA", "https", "my app", "'shop:'", "1shop", "''"])
def test_a_scheme_of_an_app_is_a_scheme_and_runs_no_code(scheme: str, tmp_path: Path) -> None:
    found = told(tmp_path, "  a: {body: x}\n", SHOP.replace("[shop]", f"[shop, {scheme}]"))
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == ["redirect_schemes[1]"]


def test_json_is_data_whatever_it_says(tmp_path: Path) -> None:
    assert told(tmp_path, "  a: {body: {title: '<script>{{traits.x}}</script>', url: '{{traits.x}}'}}\n") == []
