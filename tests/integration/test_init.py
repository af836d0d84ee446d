"""``nextbest init`` as somebody new goes through it: answers, keys, a running server, a page, what is stored."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import urllib.error
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from redis import Redis

from config.loader import load_catalog
from personalization.events.event import DecisionMade, Track
from tests.clients.browser import CHROMIUM_FLAGS, chromium, served
from tests.integration.site import NAMESPACE, Site
from tests.integration.visited_site import HIDDEN_LONG
from tests.requirements import require
from tests.running import ROOT, start, stop, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
ENVIRONMENT["PYTHONPATH"] = str(ROOT)
COMMAND = (sys.executable, "-P", "-m", "cli")
USER = "user-7"
AGREED = {"consent": {"personalization": True}}


@dataclass
class Begun:
    """A folder that was begun, and what runs from it."""

    site: Site
    folder: Path
    write_key: str
    server_key: str
    secret: str

    def block(self, language: str, words: str) -> str:
        """The block of the README that has these words, with keys and address as its reader puts them in."""
        text = (self.folder / "README.md").read_text()
        found = [block for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S) if words in block]
        block = str(*found)
        for old, new in (
            ("PK=…", f"PK={self.write_key}"),
            ("SK=…", f"SK={self.server_key}"),
            ("pk_…", self.write_key),
            ("http://127.0.0.1:8700", self.site.up.url),
        ):
            block = block.replace(old, new)
        return block


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """A shop whose visitors are asked first and log in, written by the command and started as it says."""
    require("redis")
    folder = tmp_path_factory.mktemp("begun") / "shop"
    given = (
        "--kind",
        "shop",
        "--name",
        "shop",
        "--origin",
        "https://shop.example",
        "--consent",
        "denied",
        "--users",
    )
    done = subprocess.run(
        [*COMMAND, "init", str(folder), *given], capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    placements = (
        folder / "placements.yaml"
    )  # a twentieth of all visitors, by the secret, would see the default alone
    placements.write_text(placements.read_text().replace("holdout: 5%", "holdout: 0%"))
    write_key, server_key = re.findall(r"^  ((?:pk|sk)_\S+) ", done.stdout, re.M)
    # As a shell reads the file.
    read = subprocess.run(
        ["sh", "-c", 'set -a; . ./.env; set +a; printf %s "$NEXTBEST_SECRET"'],
        cwd=folder,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=True,
    )
    settings = {
        "NEXTBEST_REDIS_TIMEOUT_MS": "1000",
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_SECRET": read.stdout,
    }
    up = start(folder / ".nextbest", "--catalog", str(folder), **settings)
    try:
        with Redis.from_url(up.redis_url()) as redis:
            yield Begun(
                Site(up, up.redis_url(), redis, folder, secret=read.stdout),
                folder,
                write_key,
                server_key,
                read.stdout,
            )
    finally:
        stop(up)


def test_what_the_readme_tries_is_in_the_visitors_state(begun: Begun) -> None:
    require("curl")
    commands = begun.block("sh", "/v1/decide")
    done = subprocess.run(["sh", "-e", "-c", commands], capture_output=True, text=True, timeout=60, check=True)
    assert '"tier":"personalised"' in done.stdout
    assert '"accepted":1' in done.stdout
    events = begun.site.events("a:me")
    (made,) = (event for event in events if isinstance(event, DecisionMade))
    assert made.choice.placement == "home.hero"
    assert [event.properties for event in events if isinstance(event, Track) and event.event == "Content Clicked"]
    assert "Content Clicked" in begun.site.state("a:me").counts
    # Nothing more comes: what the click was worth is learned.
    rewarded = f"/v1/decisions/{made.choice.decision_id}/reward"
    begun.site.call(rewarded, {"value": 0, "final": True}, begun.write_key)
    until(lambda: made.choice.decision_id in begun.site.outcomes("home.hero"), "its outcome")
    assert begun.site.outcomes("home.hero")[made.choice.decision_id].reward == pytest.approx(0.3)


def add_origin(begun: Begun, origin: str) -> None:
    """A page moves to another origin: a line in ``sources.yaml``, and it is answered in a moment."""
    sources = begun.folder / "sources.yaml"
    assert not answered(begun, origin)
    sources.write_text(sources.read_text().replace("origins: [", f"origins: ['{origin}', "))
    until(lambda: answered(begun, origin), "the page is answered")


def answered(begun: Begun, origin: str) -> bool:
    asked = {"visitor": {"anonymousId": "x"}, "placements": []}
    try:
        begun.site.call("/v1/decide", asked, begun.write_key, Origin=origin)
    except urllib.error.HTTPError as error:
        return error.code != 403
    return True


def test_the_page_of_the_readme_shows_what_was_decided_and_tells_of_the_click(begun: Begun, tmp_path: Path) -> None:
    program = chromium()
    no_icon = '<link rel="icon" href="data:,">'
    (tmp_path / "index.html").write_text(
        f"<!doctype html>{no_icon}{HIDDEN_LONG}{begun.block('html', 'consent')}{begun.block('html', 'content')}"
    )
    with served(tmp_path) as origin, sync_playwright() as playwright:
        add_origin(begun, origin)
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        try:
            page = browser.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(f"{origin}/index.html")
            page.wait_for_selector("[data-nextbest-shown]")
            shown = page.inner_text("[data-nextbest] h2")
            visitor = page.evaluate("JSON.parse(decodeURIComponent(document.cookie.split('nextbest=')[1])).id")
            page.click("[data-nextbest] a")
            page.wait_for_url(lambda url: not url.endswith("/index.html"))
            until(lambda: "Content Clicked" in counted(begun, f"a:{visitor}"), "the click is told")
            assert errors == []
        finally:
            browser.close()
    events = begun.site.events(f"a:{visitor}")
    (made,) = (event for event in events if isinstance(event, DecisionMade))
    (clicked,) = (event for event in events if isinstance(event, Track) and event.event == "Content Clicked")
    told = {name: clicked.properties[name] for name in ("placement", "contentId", "decisionId")}
    assert told == {
        "placement": "home.hero",
        "contentId": made.choice.arm,
        "decisionId": made.choice.decision_id,
    }
    titles = {name: content.body["title"] for name, content in load_catalog(begun.folder).content.items()}
    assert shown == re.sub(r"\{\{.*\|(.*)\}\}", r"\1", titles[made.choice.arm])


def counted(begun: Begun, key: str) -> Collection[str]:
    """Names of events in a visitor's state. The browser's driver has an event loop, so no log is read beside it."""
    return begun.site.stored(key).counts


def test_the_keys_do_what_was_said_and_no_others_do(begun: Begun) -> None:
    body = {"visitor": {"anonymousId": "b1"}, "placements": ["home.hero"], "context": AGREED}
    assert begun.site.call("/v1/decide", body, begun.write_key)["decisions"][0]["tier"] == "personalised"
    begun.site.collect(
        {"type": "track", "event": "Product Viewed", "anonymousId": "b1", "context": AGREED}, key=begun.write_key
    )
    until(lambda: "Product Viewed" in begun.site.state("a:b1").counts, "the event is in the state")
    assert begun.site.up.call("GET", "/v1/visitors/b1", key=begun.server_key)["eventCount"] >= 1
    for key, status in ((begun.write_key, 403), ("pk_dev", 401), ("sk_dev", 401)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            begun.site.up.call("GET", "/v1/visitors/b1", key=key)
        with refused.value as answer:
            assert answer.code == status, key
    text = b"".join(path.read_bytes() for path in begun.folder.glob("*") if path.is_file())
    for key in (begun.write_key, begun.server_key):
        assert key.encode() not in text


def test_who_was_not_asked_leaves_nothing(begun: Begun) -> None:
    body = {"visitor": {"anonymousId": "c1"}, "placements": ["home.hero"]}
    assert begun.site.call("/v1/decide", body, begun.write_key)["decisions"][0]["tier"] == "rules"
    answer = begun.site.collect(
        {"type": "track", "event": "Product Viewed", "anonymousId": "c1"}, key=begun.write_key
    )
    assert [warning["code"] for warning in answer["warnings"]] == ["no_consent"]
    assert begun.site.events("a:c1") == []


def test_a_user_is_believed_by_the_proof_that_the_folder_tells_of(begun: Begun) -> None:
    environment = {**ENVIRONMENT, "NEXTBEST_SECRET": begun.secret}
    (command,) = re.findall(rf"^nextbest (keys identity shop {USER})", begun.block("sh", "keys identity"), re.M)
    proof = subprocess.run(
        [*COMMAND, *command.split()], cwd=begun.folder, capture_output=True, text=True, env=environment, check=True
    ).stdout.strip()
    event = {"type": "identify", "userId": USER, "anonymousId": "d1", "traits": {"plan": "gold"}, "context": AGREED}
    answer = begun.site.collect({**event, "userHash": proof}, key=begun.write_key)
    assert answer["warnings"] == []
    until(lambda: begun.site.state(f"u:{USER}").traits == {"plan": "gold"}, "the user is known")
    stranger = {**event, "anonymousId": "d2", "traits": {"plan": "stolen"}}
    answer = begun.site.collect(stranger, key=begun.write_key)
    assert [warning["code"] for warning in answer["warnings"]] == ["unverified_user"]
    until(lambda: begun.site.state("a:d2").traits == {"plan": "stolen"}, "it is the browser's own")
    assert begun.site.state(f"u:{USER}").traits == {"plan": "gold"}


def test_at_a_real_terminal_five_answers_are_enough(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [*COMMAND, "init"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT
        )
        os.close(theirs)
        os.write(ours, b"hotel\ninn\nhttps://inn.example\ngranted\nno\n")
        said = b""
        while True:
            try:
                read = os.read(ours, 4096)
            except OSError:  # as Linux says that nobody is there any more
                break
            if not read:
                break
            said += read
        assert process.wait(60) == 0, said.decode()
    finally:
        os.close(ours)
    assert re.findall(rb"(\d/\d)  ", said) == [b"1/5", b"2/5", b"3/5", b"4/5", b"5/5"]
    assert len(re.findall(rb"(?:pk|sk)_[\w-]{32}", said)) == 2
    checked = subprocess.run(
        [*COMMAND, "check", "--strict", "--json", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert json.loads(checked.stdout)["ok"] is True
    assert checked.returncode == 0
