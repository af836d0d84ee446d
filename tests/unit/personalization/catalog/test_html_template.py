"""A variable of an HTML body stands where a value can be written safely, or is refused with the remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.catalog.html_template import Misplaced, Placed, places_of
from personalization.catalog.template import mask

V = "{{traits.x}}"

REFUSED = {
    f"<script>let name = '{V}'</script>": "stands in <script>",
    f"<style>.a {{ color: {V} }}</style>": "stands in <style>",
    f"<p onclick=\"go('{V}')\">": "stands in the handler onclick",
    f'<p OnClick="{V}">': "stands in the handler onclick",
    f'<iframe srcdoc="{V}"></iframe>': "stands in the attribute srcdoc",
    f'<p style="color: {V}">': "stands in the attribute style",
    f'<p id="{V}">': "stands in the attribute id",
    f'<img srcset="/a/{V} 2x">': "stands in the attribute srcset",
    f'<p data-bind="text: {V}">': "stands in the attribute data-bind",
    f'<p data-on-click="{V}">': "stands in the attribute data-on-click",
    f'<p hx-get="/{V}">': "stands in the attribute hx-get",
    f"<p title={V}>": "stands in title= without quotes",
    f"<p title=a{V}b>": "stands in title= without quotes",
    f"<!-- {V} -->": "stands in a comment",
    f"<{V}>": "stands in the name of a tag",
    f"<p-{V}>": "stands in the name of a tag",
    f"</{V}>": "stands in the name of a tag",
    f"<p {V}>": "stands in the name of an attribute",
    f'<p data-{V}="a">': "stands in the name of an attribute",
    f'<a href="{V}">': "may decide where href leads",
    f'<a href=" {V}">': "may decide where href leads",
    f'<a href="https://{V}">': "may decide where href leads",
    f'<a href="https://shop.example{V}">': "may decide where href leads",
    f'<a href="https:/{V}">': "may decide where href leads",
    f'<a href="https:///{V}">': "may decide where href leads",
    f'<a href="//{V}/a">': "may decide where href leads",
    f'<a href="java{V}">': "may decide where href leads",
    f'<a href="javascript:{V}">': "may decide where href leads",
    f'<a href="other://x/{V}">': "may decide where href leads",
    f'<a href="&#47;&#47;{V}">': "may decide where href leads",
    f'<a href="/{V}/sale">': "may decide where href leads",
    f'<a href="/{V}{{{{traits.y|/z}}}}">': "may decide where href leads",
    f'<script src="/a/{V}"></script>': "stands in <script>, which decides what runs",
    f'<link rel="stylesheet" href="/a/{V}">': "stands in <link>, which decides what runs",
    f'<base href="/{V}">': "stands in <base>, which decides what runs",
    f'<meta content="0;url=/{V}">': "stands in <meta>, which decides what runs",
    f'<svg><use href="/a#{V}"/></svg>': "stands in the attribute href",
    f'<svg><set attributeName="href" to="{V}"/></svg>': "stands in the attribute to",
    f"<textarea>{V}</textarea>": "stands in <textarea>",
    f"<noscript>{V}</noscript>": "stands in <noscript>",
    f"<script>if (a<b) c()</script><p>{V}</p>": "stands behind <script> with a < in it",
    f'<p title="a"class="{V}">': "stands in or behind a tag that parsers read differently (line 1 of the text)",
    f"<p title='a>\n<p>{V}</p>": "stands in or behind a tag that parsers read differently (line 1 of the text)",
    f"\n\n<p title='a>\n{V}": "(line 3 of the text)",
    f"<!-- a --!> {V}": "stands in or behind a tag that parsers read differently",
    f'<!-- a --!><p title="-->{V}">': "stands in or behind a tag that parsers read differently",
    f"<svg><![CDATA[ ]]>{V}</svg>": "stands in or behind a tag that parsers read differently",
    "<p>{{traits.x|<b>you</b>}}</p>": "has a < behind its bar",
    "<p title=\"{{traits.x|my 'dear'}}\">{{traits.x|\"}}<p title='{{traits.x|it's}}'>": "has a ' behind its bar",
}


@pytest.mark.parametrize("body", REFUSED)
def test_a_variable_that_could_become_code_is_refused(body: str) -> None:
    told = [place.why for place in places_of(mask(body)) if isinstance(place, Misplaced)]
    assert told
    assert REFUSED[body] in told[0]
    assert ";" in told[0], "says what to do instead"


TAKEN = {
    f"<p>{V}</p>": "<p>&amp;&lt;/&quot;</p>",
    f"{V} < {V}": "&amp;&lt;/&quot; < &amp;&lt;/&quot;",
    f'<p title="Hi {V}">': '<p title="Hi &amp;&lt;/&quot;">',
    f"<p  aria-label = '{V}' >": "<p  aria-label = '&amp;&lt;/&quot;' >",
    f'<button data-name="{V}" class="a-{V}">': '<button data-name="&amp;&lt;/&quot;" class="a-&amp;&lt;/&quot;">',
    f'<a href="https://shop.example/a?b={V}">': '<a href="https://shop.example/a?b=%26%3C%2F%22">',
    f'<a href="HTTP://shop.example:80?{V}">': '<a href="HTTP://shop.example:80?%26%3C%2F%22">',
    f'<a href="//cdn.example/{V}">': '<a href="//cdn.example/%26%3C%2F%22">',
    f'<a href="/{V}">': '<a href="/%26%3C%2F%22">',
    f'<a href="/{{{{traits.x|all}}}}/{V}">': '<a href="/%26%3C%2F%22/%26%3C%2F%22">',
    f"<a href='/a/{V}/b'>": "<a href='/a/%26%3C%2F%22/b'>",
    f'<a href="?a={V}#{V}">': '<a href="?a=%26%3C%2F%22#%26%3C%2F%22">',
    f'<a href="sale/{V}">': '<a href="sale/%26%3C%2F%22">',
    f'<a href="mailto:us@shop.example?subject={V}">': '<a href="mailto:us@shop.example?subject=%26%3C%2F%22">',
    f'<a href="shop://rate/{V}">': '<a href="shop://rate/%26%3C%2F%22">',
    f'<img src="/i/{V}.png" alt="{V}">': '<img src="/i/%26%3C%2F%22.png" alt="&amp;&lt;/&quot;">',
    f"<svg><path d='M0'/></svg> {V}": "<svg><path d='M0'/></svg> &amp;&lt;/&quot;",
    f"<script>go()</script><!-- a --><p>{V}": "<script>go()</script><!-- a --><p>&amp;&lt;/&quot;",
    f"<!doctype html><p>{V}": "<!doctype html><p>&amp;&lt;/&quot;",
    f'<a title="x > y">{V}</a>': '<a title="x > y">&amp;&lt;/&quot;</a>',
}


@pytest.mark.parametrize("body", TAKEN)
def test_a_value_is_escaped_by_where_it_stands(body: str) -> None:
    masked = mask(body)
    written, at = "", 0
    for place in places_of(masked, ["shop"]):
        assert isinstance(place, Placed), place
        written += masked.text[at : place.variable.start] + place.escape('&</"')
        at = place.variable.end
    assert written + masked.text[at:] == TAKEN[body]


MARKUP = st.lists(st.sampled_from([*"<>/='\"&! -\nab", V, "<!--", "-->", "<p ", "<script>", "</script", "zv0z"]))


@given(MARKUP.map("".join))
def test_every_variable_has_one_place_in_any_text(body: str) -> None:
    masked = mask(body)
    assert [place.variable for place in places_of(masked)] == list(masked.variables)
    lines = [masked.line_at(variable.start) for variable in masked.variables]
    starts = [n for n in range(len(body)) if body.startswith(V, n)]
    assert lines == [1 + body.count("\n", 0, start) for start in starts]
