"""A site that uses the page script, as its visitors' browsers see it: on an origin of its own."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, sync_playwright

from eventlog.topics import DECISIONS, VISITOR_LOG
from personalization.events.decision_record import decode_record
from personalization.events.event import Activated, Rewarded, Track
from personalization.visitor.choice import Choice
from tests.clients.browser import AGENT, CHROMIUM_FLAGS, chromium, served
from tests.integration.site import Site
from tests.running import until

HIDDEN_LONG = """<style>
[data-nextbest]:not([data-nextbest-shown]) { animation: nextbest 20s step-end !important }
@keyframes nextbest { from { visibility: hidden } }
</style>"""
"""Of a page whose blocks wait longer than ours tell sites to: other programs use this machine too."""

STYLE = HIDDEN_LONG.replace("20s", "300ms")
"""As the docs tell sites to write it."""

WATCH = """
window.shifts = 0; window.violations = []; window.reads = []; window.restored = 0;
new PerformanceObserver(list => { for (const each of list.getEntries()) window.shifts += each.value })
    .observe({type: "layout-shift", buffered: true});
document.addEventListener("securitypolicyviolation", event => window.violations.push(event.violatedDirective));
addEventListener("pageshow", event => { if (event.persisted) window.restored++ });
const cookie = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");
Object.defineProperty(document, "cookie", {configurable: true,
    get() { window.reads.push("cookie"); return cookie.get.call(document) },
    set(text) { window.reads.push("set cookie"); cookie.set.call(document, text) }});
for (const name of ["getItem", "setItem"]) {
    const original = Storage.prototype[name];
    Storage.prototype[name] = function (...given) { window.reads.push(name); return original.apply(this, given) };
}
"""
"""What a page cannot tell afterwards: how far things moved, what a policy forbade, what was read of the device."""


class SiteBesideABrowser(Site):
    """The browser's driver runs an event loop in the test's thread, so the log is read in another."""

    def raw(self, topic: str) -> list[tuple[str, int, bytes]]:
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(super().raw, topic).result()


@dataclass
class Stored:
    """What the log has of one page's visitor.

    Attributes
    ----------
    shown
        By decision: how often it was told that it was shown.
    tracked
        By name: how often it happened.
    """

    shown: Counter[str] = field(default_factory=Counter)
    rewarded: list[Rewarded] = field(default_factory=list)
    tracked: Counter[str] = field(default_factory=Counter)
    tracks: list[Track] = field(default_factory=list)


@dataclass
class VisitedSite:
    """Pages on one origin, the API on another, one browser."""

    site: SiteBesideABrowser
    folder: Path
    origin: str
    browser: Browser
    names: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    @contextmanager
    def open(cls, site: SiteBesideABrowser, folder: Path) -> Iterator[VisitedSite]:
        with served(folder) as origin, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium(),
                args=CHROMIUM_FLAGS,
                ignore_default_args=["--disable-back-forward-cache"],
            )
            try:
                yield cls(site, folder, origin, browser)
            finally:
                browser.close()

    def visitor(self, **more: Any) -> BrowserContext:
        """A browser that was never here."""
        context = self.browser.new_context(user_agent=AGENT, **more)
        context.add_init_script(WATCH)
        return context

    def script(self, key: str = "pk_dev", more: str = "") -> str:
        return f'<script async src="{self.site.up.url}/sdk/nextbest.js?key={key}" {more}></script>'

    def write(self, body: str, head: str | None = None) -> str:
        """A page's address."""
        name = f"page-{next(self.names)}.html"
        head = HIDDEN_LONG + self.script() if head is None else head
        (self.folder / name).write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>'
            f'<link rel="icon" href="data:,">{head}<body>{body}</body></html>'
        )
        return f"{self.origin}/{name}"

    def decisions(self, anonymous_id: str) -> dict[str, Choice]:
        """Those of an anonymous visitor, by id."""
        records = (decode_record(value) for key, _, value in self.site.raw(DECISIONS) if key == f"a:{anonymous_id}")
        return {record.choice.decision_id: record.choice for record in records}

    def stored(self, anonymous_id: str) -> Stored:
        found = Stored()
        for event in self.site.events(f"a:{anonymous_id}"):
            if isinstance(event, Activated):
                found.shown[event.decision_id] += 1
            elif isinstance(event, Rewarded):
                found.rewarded.append(event)
            elif isinstance(event, Track):
                found.tracks.append(event)
                found.tracked[event.event] += 1
        return found

    def after(self, page: Page, anonymous_id: str) -> Stored:
        """What is stored once a mark is that the page sends now: what was sent before it is there, too."""
        mark = f"Mark {next(self.names)}"
        with page.expect_response(lambda answer: "/v1/events" in answer.url and answer.ok):
            page.evaluate("mark => { nextbest.track(mark) }", mark)
        until(lambda: mark in self.stored(anonymous_id).tracked, f"{mark} is stored")
        found = self.stored(anonymous_id)
        del found.tracked[mark]
        return found

    def n_stored(self) -> int:
        return len(self.site.raw(VISITOR_LOG)) + len(self.site.raw(DECISIONS))


def kept_by(context: BrowserContext) -> dict[str, Any] | None:
    """What the browser keeps of the visitor."""
    for cookie in context.cookies():
        if cookie.get("name") == "nextbest":
            found = json.loads(unquote(cookie["value"]))
            assert isinstance(found, dict)
            return found
    return None


def id_of(page: Page) -> str:
    page.wait_for_function("document.cookie.includes('nextbest=')")
    kept = kept_by(page.context)
    assert kept is not None
    return str(kept["id"])


def posts(page: Page) -> list[tuple[str, Any]]:
    """A list that grows by what the page sends to the API: path and body."""
    sent: list[tuple[str, Any]] = []

    def note(request: Request) -> None:
        if request.method == "POST" and "/v1/" in request.url:
            path = "/v1/" + request.url.split("/v1/")[1].split("?")[0]
            sent.append((path, json.loads(request.post_data or "null")))

    page.on("request", note)
    return sent


def held(page: Page, path: str) -> list[Route]:
    """Requests to a path that are not let through yet."""
    waiting: list[Route] = []
    page.route(f"**{path}*", lambda route: waiting.append(route))
    return waiting
