"""A real browser reads the same of a content whatever the visitor is called, and runs nothing of what they said."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.clients.browser import CHROMIUM_FLAGS, chromium
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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

N_BODIES = 2_000

RUNNING = [
    "javascript:ran()", "\x01javascript:ran()", '"><img src=x onerror=ran()>', "'><img src=x onerror=ran()>",
    "</script><script>ran()</script>", "</style><img src=x onerror=ran()>", "--><img src=x onerror=ran()>",
    "' onclick='ran()", '" autofocus onfocus="ran()', "<svg onload=ran()>", "]]><img src=x onerror=ran()>",
]  # fmt: skip

READ = """([hostile, harmless]) => {
    window.ran = () => { window.hasRun = true };
    const leads = value => { try { const url = new URL(value, "https://page.example/dir/");
        return url.protocol + "//" + url.host } catch { return "nowhere" } };
    const urls = ["href", "src", "action", "formaction", "poster", "cite"];
    const shape = node => [node.nodeName, [...node.attributes ?? []].map(({name, value}) =>
        [name, urls.includes(name) ? leads(value) : /^on|^style$|^srcdoc$|^id$/.test(name) ? value : ""]),
        [...node.childNodes].filter(child => child.nodeType != Node.TEXT_NODE).map(shape)];
    return [hostile, harmless].map(html => {
        const place = document.createElement("div");
        place.innerHTML = html;
        document.body.replaceChildren(place);
        place.querySelectorAll("a, button, p").forEach(each => {
            each.addEventListener("click", event => event.preventDefault());
            each.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
        });
        return JSON.stringify(shape(place));
    });
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        page = browser.new_page()
        page.route("**/*", lambda route: route.abort())  # nothing is fetched: what matters is what is read
        yield page
        browser.close()


def bodies(rng: random.Random) -> Iterator[str]:
    """Bodies with variables that are published."""
    while True:
        pieces = [_piece(rng) for _ in range(rng.randint(1, 6))]
        body = "".join(pieces)
        if "{{" in body and is_published(body):
            yield body


def _piece(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(OPENING) + rng.choice(VARIABLES) + rng.choice(['">', "'>", "", '" x>'])
    if kind < 0.7:
        return rng.choice(WELL_FORMED)
    return rng.choice(VARIABLES if kind < 0.85 else LOOSE)


def test_no_value_changes_what_a_browser_reads_or_runs(page: Page) -> None:
    rng = random.Random(54)
    tricks = [body for body in TRICKS if is_published(body)]
    for body in [*tricks * 5, *itertools.islice(bodies(rng), N_BODIES)]:
        said = {name: rng.choice(rng.choice([HOSTILE, RUNNING])) + "x" for name in NAMES}
        pair = [rendered(body, each) for each in (said, dict.fromkeys(NAMES, "Ada"))]
        hostile, harmless = page.evaluate(READ, [text.encode("utf-8", "replace").decode() for text in pair])
        assert hostile == harmless, (body, said)
    assert page.evaluate("window.hasRun") is None


def test_the_browser_would_have_told(page: Page) -> None:
    unsafe, safe = ('<img alt="a" title=x onclick="ran()">', '<img alt="a" title="x">')
    hostile, harmless = page.evaluate(READ, [unsafe, safe])
    assert hostile != harmless
    page.evaluate(READ, ["<p onclick='ran()'>x</p>", "<p>x</p>"])
    assert page.evaluate("window.hasRun") is True
