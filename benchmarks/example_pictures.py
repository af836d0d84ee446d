"""The example sites as strangers see them, before anything was learned and after: ``docs/pictures/``.

    python -m benchmarks.example_pictures [--rounds 4] [--visitors 120] [--into docs/pictures]

Starts each site anew, with rewards that are due soon, and lets made-up visitors come in rounds. Pictures are of
people who are in none of them, the first that comes each time; how often strangers of a round met what is right for
them is printed beside.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.ending import end_by_sigterm
from tests.clients.browser import AGENT, CHROMIUM_FLAGS, chromium, served
from tests.example_visits import PHONE, Visits
from tests.integration.example_site import catalog_of, put_pages
from tests.integration.visited_site import id_of
from tests.running import ROOT, start, stop, until

SCALE = 0.6
"""Of pictures: text can be read, and a file has less than 60 kB."""

PATIENT = {"NEXTBEST_REDIS_TIMEOUT_MS": "1000", "NEXTBEST_DEADLINE_MS": "5000"}
"""Where other programs use this machine too: what was decided without the model teaches nothing."""

UNDECIDED = "[data-nextbest]:not([data-nextbest-shown])"


def shop_pictures(browser: Browser, origin: str, visits: Visits, into: Path, when: str) -> None:
    """The shop on a desk and on a phone."""
    for who, agent, width in (("desk", AGENT, 1000), ("phone", PHONE, 420)):
        page = _stranger(browser, agent, width, 640)
        page.goto(origin)
        _take(page, into / f"shop-{who}-{when}.png")


def news_pictures(browser: Browser, origin: str, visits: Visits, into: Path, when: str) -> None:
    """The newspaper's front page, for who has opened one section before."""
    for section in ("sport", "science"):
        page = _stranger(browser, AGENT, 1000, 640)
        page.goto(f"{origin}/{section}/")
        reader = id_of(page)
        until(lambda reader=reader: visits.knows(reader), "what was read is folded")  # type: ignore[misc]
        page.click("text=Back to the front page")
        _take(page, into / f"news-{section}-{when}.png")


def _stranger(browser: Browser, agent: str, width: int, height: int) -> Page:
    return browser.new_context(
        user_agent=agent, viewport={"width": width, "height": height}, device_scale_factor=SCALE
    ).new_page()


def _take(page: Page, target: Path) -> None:
    page.wait_for_function(f"document.querySelector('[data-nextbest]') && !document.querySelector('{UNDECIDED}')")
    page.screenshot(path=target)
    print(f"{target}: {target.stat().st_size / 1000:.0f} kB", flush=True)
    page.context.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="of visitors who teach (default 4)")
    parser.add_argument("--visitors", type=int, default=120, help="of a round (default 120)")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "pictures", metavar="FOLDER")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    sites: list[tuple[str, str, Callable[..., None], Callable[[Visits, str, int], list[bool]]]] = [
        ("shop", "home.hero", shop_pictures, Visits.shop),
        ("news", "front.lead", news_pictures, Visits.read_the_news),
    ]
    for name, placement, pictures, come in sites:
        with tempfile.TemporaryDirectory(prefix="nextbest-pictures-") as made, sync_playwright() as playwright:
            folder = Path(made)
            (folder / "catalog").mkdir()
            (folder / "catalog" / f"{name}.yaml").write_text(catalog_of(name), "utf-8")
            up = start(folder / "data", "--catalog", str(folder / "catalog"), **PATIENT)
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            try:
                put_pages(name, folder / "pages", up.url, wait="20s")
                visits = Visits(up.url)
                with served(folder / "pages") as origin:
                    pictures(browser, origin, visits, given.into, "before")
                    for number in range(given.rounds):
                        right = come(visits, f"round-{number}", given.visitors)
                        print(f"{name}, round {number + 1}: right for {sum(right)} of {len(right)}", flush=True)
                        visits.wait_learned(placement, (number + 1) * given.visitors)
                    pictures(browser, origin, visits, given.into, "after")
            finally:
                browser.close()
                stop(up)


if __name__ == "__main__":
    end_by_sigterm()
    main()
