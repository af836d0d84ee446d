"""A page in a real browser, on an origin of its own."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.clients.node import bundle
from tests.requirements import missing

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
"""Of a person's browser: one without a head is a crawler, and teaches nothing."""

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Root may not use the sandbox; the others keep a browser from talking to anybody but the page's servers."""


def chromium() -> str:
    """The browser's program; skips or fails without one."""
    found = os.environ.get("NEXTBEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("chromium", "install it, or name a Chromium's program in NEXTBEST_CHROMIUM")
    return found


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The files of a folder at an address of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def page_in(folder: Path) -> Iterator[Page]:
    """The page ``index.html`` of a folder, loaded; whatever it logs as an error fails the test."""
    program = chromium()
    with served(folder) as origin, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        try:
            page = browser.new_page(user_agent=AGENT)
            errors: list[str] = []
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{origin}/index.html")
            yield page
            assert errors == []
        finally:
            browser.close()


def write_page(script: str, folder: Path) -> None:
    """Write a page that loads one of our scripts into a folder."""
    chromium()  # bundling takes seconds: not for a page that nobody can open
    bundle(script, folder / "page.js")
    no_icon = '<link rel="icon" href="data:,">'  # or the browser asks for one, and logs that there is none
    (folder / "index.html").write_text(f'<!doctype html>{no_icon}<script src="page.js"></script>')


@contextmanager
def page_of(script: str, folder: Path) -> Iterator[Page]:
    """A page that has loaded one of our scripts; whatever it logs as an error fails the test."""
    write_page(script, folder)
    with page_in(folder) as page:
        yield page
