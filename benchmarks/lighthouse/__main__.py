"""What Lighthouse says of the example pages, with the page script and without it, in turn.

    python -m benchmarks.lighthouse [--runs 5] [--site shop --site news]

Lighthouse comes by npm from the lock file beside this, once, into ``.cache/``; the browser is the system's. It
plays a phone on a slow network, as it does by itself. Each site is opened once before; then both take turns, so
that what else the machine does hits both alike. Prints medians, and what lacks a point. Goal: performance ≥ .95.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ending import end_by_sigterm
from tests.clients.browser import CHROMIUM_FLAGS, chromium, served
from tests.clients.node import install
from tests.integration.example_site import example, put_pages
from tests.running import ROOT, start, stop

HERE = Path(__file__).resolve().parent
INSTALLED = ROOT / ".cache" / "npm-lighthouse"
CATEGORIES = ("performance", "accessibility", "best-practices")
TIMES = {"CLS": "cumulative-layout-shift", "FCP ms": "first-contentful-paint", "LCP ms": "largest-contentful-paint",
         "TBT ms": "total-blocking-time"}  # fmt: skip
WITH, WITHOUT = "with the script", "without it"
WITHIN_S = 240


def report(address: str) -> dict[str, Any]:
    """What Lighthouse found on a page."""
    command = [
        str(INSTALLED / "node_modules" / ".bin" / "lighthouse"),
        address,
        "--output=json",
        "--quiet",
        "--no-enable-error-reporting",
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags={' '.join(['--headless=new', *CHROMIUM_FLAGS])}",
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "CHROME_PATH": chromium()},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"lighthouse ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if "runtimeError" in found:
        raise SystemExit(f"lighthouse could not read {address}: {found['runtimeError']['message']}")
    return found


def figures(found: dict[str, Any]) -> dict[str, float]:
    """What is printed of a report, by name: shares, and milliseconds."""
    scores = {name: float(found["categories"][name]["score"]) for name in CATEGORIES}
    return scores | {name: float(found["audits"][audit]["numericValue"]) for name, audit in TIMES.items()}


def lacking(found: dict[str, Any]) -> dict[str, str]:
    """The audits that lack something, with Lighthouse's words."""
    return {
        name: f"{audit['title']} ({audit.get('displayValue', '')})"
        for name, audit in found["audits"].items()
        if audit["score"] is not None and audit["score"] < 1
    }


def without_script(folder: Path) -> None:
    """Take the script tag out of an example's pages, and nothing else."""
    for page in folder.rglob("*.html"):
        lines = page.read_text("utf-8").splitlines(keepends=True)
        page.write_text("".join(line for line in lines if "/sdk/nextbest.js" not in line), "utf-8")


def measure(site: str, n_runs: int, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The reports of an example's first page, each way."""
    up = start(folder / "data", "--catalog", str(example(site) / "catalog"))
    try:
        for way in (WITH, WITHOUT):
            put_pages(site, folder / way, up.url)
        without_script(folder / WITHOUT)
        found: dict[str, list[dict[str, Any]]] = {WITH: [], WITHOUT: []}
        with served(folder / WITH) as with_it, served(folder / WITHOUT) as without_it:
            addresses = {WITH: f"{with_it}/", WITHOUT: f"{without_it}/"}
            report(addresses[WITH])
            for run in range(n_runs):
                for way, address in addresses.items():
                    found[way].append(report(address))
                    said = "  ".join(f"{name} {value:.4g}" for name, value in figures(found[way][-1]).items())
                    print(f"{site}, run {run + 1}, {way}: {said}", flush=True)
        return found
    finally:
        stop(up)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each page, each way (default 5)")
    parser.add_argument("--site", action="append", help="shop or news; both if none is named")
    given = parser.parse_args()
    install(HERE, INSTALLED)
    for site in given.site or ("shop", "news"):
        with tempfile.TemporaryDirectory(prefix="nextbest-lighthouse-") as folder:
            found = measure(site, given.runs, Path(folder))
        for way, reports in found.items():
            rows = [figures(each) for each in reports]
            said = "  ".join(f"{name} {statistics.median(row[name] for row in rows):.4g}" for name in rows[0])
            print(f"{site}, median, {way}: {said}")
        before, now = lacking(found[WITHOUT][-1]), lacking(found[WITH][-1])
        for name, words in now.items():
            print(f"  lacks {name}: {words}{'' if name in before else ' -- with the script alone'}")


if __name__ == "__main__":
    end_by_sigterm()
    main()
