"""The banner of the page on privacy, in a browser: what is kept after no, after yes, after the change of mind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import jwt
import pytest
from playwright.sync_api import Page

from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.events.decision_record import decode_record
from tests.clients.browser import page_in
from tests.integration.site import Site
from tests.running import ROOT, until

T = TypeVar("T")

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  home.hero: {content: [red, green], default: red}
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
sources:
  asked:
    write_keys: [pk_asked]
    server_keys: [sk_dev]
    consent_default: denied
privacy:
  controller: {name: Example Shop Ltd, contact: privacy@shop.example}
  notice: https://shop.example/privacy
  jurisdiction: EU
  storage_locations: [EU]
"""
BLOCKS = re.findall(
    r"^```html\n(.*?)^```", (ROOT / "docs" / "privacy.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


@pytest.fixture
def page(site: Site, tmp_path: Path) -> Iterator[Page]:
    html = "".join(BLOCKS).replace("http://127.0.0.1:8700", site.up.url).replace("pk_…", "pk_asked")
    (tmp_path / "index.html").write_text(
        f'<!doctype html><html lang="de"><meta charset="utf-8"><link rel="icon" href="data:,">{html}</html>'
    )
    with page_in(tmp_path) as page:
        yield page


def apart(read: Callable[[], T]) -> T:
    """What ``read`` gives in a thread of its own: Playwright has the event loop of this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(read).result()


def n_logged(site: Site) -> dict[str, int]:
    return apart(lambda: {topic: len(site.raw(topic)) for topic in (VISITOR_LOG, DECISIONS)})


def tier(page: Page, expected: str) -> None:
    page.wait_for_selector(f'#hero[data-tier="{expected}"] p')


def kept(page: Page) -> dict[str, Any] | None:
    found = json.loads(page.evaluate("localStorage.getItem('consent')") or "null")
    assert found is None or isinstance(found, dict)
    return found


def answer(page: Page, word: str) -> None:
    page.evaluate("document.getElementById('hero').removeAttribute('data-tier')")
    page.click(f'[data-answer="{word}"]')


def test_there_are_a_banner_and_a_link() -> None:
    assert len(BLOCKS) == 2


def test_before_an_answer_and_after_a_no_nothing_is_kept_anywhere(site: Site, page: Page) -> None:
    before = n_logged(site)
    tier(page, "rules")
    assert (page.is_visible("#ask"), kept(page)) == (True, None)
    answer(page, "no")
    tier(page, "rules")
    assert (page.is_visible("#ask"), kept(page)) == (False, {})
    assert n_logged(site) == before


def test_after_a_yes_it_is_personal_and_after_the_change_of_mind_no_more(site: Site, page: Page) -> None:
    tier(page, "rules")
    answer(page, "yes")
    tier(page, "personalised")
    stored = kept(page)
    assert stored is not None
    key = f"a:{stored['anonymousId']}"
    keys = jwt.PyJWKSet.from_dict(site.up.call("GET", "/v1/consent/keys"))
    said = jwt.decode(stored["receipt"], keys[jwt.get_unverified_header(stored["receipt"])["kid"]], ["EdDSA"])
    assert (said["sub"], said["pii_processing"]["language"]) == (key, "de")

    def records() -> list[Any]:
        raw = apart(lambda: site.raw(DECISIONS))
        return [decode_record(value) for found, _, value in raw if found == key]

    until(lambda: bool(records()), "the decision is logged")
    assert [record.agreed["personalization"].receipt for record in records()] == [said["record_id"]]
    assert apart(lambda: site.granted(key)) == {"personalization": True}

    page.reload()
    tier(page, "personalised")
    assert not page.is_visible("#ask")
    until(lambda: len(records()) == 2, "the second decision is logged")
    assert [each.agreed["personalization"].receipt for each in records()] == [said["record_id"]] * 2, (
        "folded or not"
    )
    page.click("#change")
    answer(page, "no")
    tier(page, "rules")
    changed = kept(page)
    assert changed is not None
    assert "anonymousId" not in changed
    withdrawn = jwt.decode(changed["receipt"], options={"verify_signature": False})
    assert withdrawn["events"][0]["event_state"] == "consent_withdrawn"
    until(lambda: apart(lambda: site.granted(key)) == {"personalization": False}, "the withdrawal is folded")
    shown = site.up.call("GET", f"/v1/visitors/{key[2:]}/consent")
    assert shown["purposes"]["personalization"]["granted"] is False


def test_do_not_sell_is_one_click(site: Site, page: Page) -> None:
    tier(page, "rules")
    answer(page, "yes")
    tier(page, "personalised")
    stored = kept(page)
    assert stored is not None
    key = f"a:{stored['anonymousId']}"
    page.click("#do-not-sell")
    page.wait_for_selector("text=We do not sell or share it.")
    said = {"personalization": True, "sale_sharing": False, "advertising": False}
    until(lambda: apart(lambda: site.granted(key)) == said, "the refusal is folded")
