"""Who watches sees it: a real Prometheus, with our rules, scrapes a real installation under load."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import yaml

from background.ports import free_port
from dashboards.board import Board
from dashboards.files import BOARDS
from tests.integration.site import Site
from tests.requirements import require
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOK = ROOT / "docs" / "runbook.md"
CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 300ms
    holdout: 10%
    rewards:
      - event: Clicked
    variants:
      own: {share: 40%, policy: uniform, content: [green, blue]}
content:
  red: {body: {}}
  green: {body: {}}
  blue: {body: {}}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""


@dataclass
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def get(self, path: str, **query: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def asked(self, expression: str) -> list[Any]:
        """What it answers now: series with their values, without those that are no number."""
        found = self.get("query", query=expression)["result"]
        return [each for each in found if each["value"][1] != "NaN"]

    @classmethod
    @contextmanager
    def open(cls, folder: Path, addresses: dict[str, str]) -> Iterator[Prometheus]:
        """One that scrapes ``addresses`` each second, by job, with our rules."""
        config = yaml.safe_load((PROMETHEUS / "prometheus-up.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        jobs = {job["job_name"]: job for job in config["scrape_configs"]}
        assert jobs.keys() >= addresses.keys()
        for job, address in addresses.items():
            jobs[job]["static_configs"] = [{"targets": [address]}]
        config["scrape_configs"] = [jobs[job] for job in addresses]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        for rules in config["rule_files"]:
            copy(PROMETHEUS / rules, folder)
        port = free_port()
        command = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
        ]
        with (folder / "said").open("w") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
            try:
                found = cls(f"http://127.0.0.1:{port}")
                until(lambda: found.is_ready(), f"Prometheus is ready: {(folder / 'said').read_text()[-500:]}")
                yield found
            finally:
                process.terminate()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return int(answer.status) == 200
        except OSError:
            return False


@dataclass
class Watched:
    """An installation with visitors, until somebody says ``ended``, and the Prometheus that watches it."""

    site: Site
    prometheus: Prometheus
    addresses: dict[str, str]
    ended: threading.Event


def metrics_addresses(site: Site) -> dict[str, str]:
    """Host and port of each role's inner listener, as ``nextbest up`` prints them."""
    line = next(line for line in site.up.said if line.startswith("  metrics "))
    return dict(re.findall(r"(\w+) http://([\d.:]+)/", line))


def visit(site: Site, ended: threading.Event) -> None:
    """Visitors come, see, click and are rewarded, until ``ended``."""
    n = 0
    while not ended.wait(0.02):
        n += 1
        visitor = {"anonymousId": f"v{n % 50}"}
        decision = site.decide(visitor, "hero")
        if n % 3 == 0:
            shown = {"contentId": decision["contentId"]}
            site.collect({"type": "track", "event": "Clicked", "properties": shown, **visitor})
        elif n % 3 == 1:
            site.reward(decision)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    require("prometheus")
    with Site.open(tmp_path_factory, CATALOG) as site:
        addresses = metrics_addresses(site)
        ended = threading.Event()
        visitors = threading.Thread(target=visit, args=(site, ended))
        visitors.start()
        try:
            with Prometheus.open(tmp_path_factory.mktemp("prometheus"), addresses) as prometheus:
                yield Watched(site, prometheus, addresses, ended)
        finally:
            ended.set()
            visitors.join()


def asked(board: Board) -> list[str]:
    return [
        expression.replace("$__rate_interval", "10s").replace("$placement", ".*")
        for expression in board.expressions()
    ]


def test_every_process_is_scraped(watched: Watched) -> None:
    def reached() -> bool:
        return {each["metric"]["job"] for each in watched.prometheus.asked("up == 1")} == watched.addresses.keys()

    until(reached, "all are up")
    assert watched.addresses.keys() >= {"api", "folder", "learner"}
    (api,) = watched.prometheus.asked('nextbest_build_info{role="api"}')
    assert api["value"][1] == "1"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_shows_something(watched: Watched, board: Board) -> None:
    for expression in asked(board):
        until(lambda e=expression: bool(watched.prometheus.asked(e)), f"something is answered: {expression}")  # type: ignore[misc]  # a lambda


def test_decisions_are_told_apart_by_variant_and_holdout(watched: Watched) -> None:
    def sides() -> set[tuple[str, str]]:
        found = watched.prometheus.asked("nextbest_decisions_total")
        return {(each["metric"].get("variant", ""), each["metric"]["holdout"]) for each in found}

    until(lambda: sides() >= {("", "no"), ("own", "no"), ("", "yes")}, "each side is counted")


def test_prometheus_evaluates_every_rule(watched: Watched) -> None:
    def rules() -> list[Any]:
        return [rule for group in watched.prometheus.get("rules")["groups"] for rule in group["rules"]]

    until(lambda: all(rule["health"] != "unknown" for rule in rules()), "each was evaluated")
    assert [(rule["name"], rule.get("lastError")) for rule in rules() if rule["health"] != "ok"] == []


def test_what_runs_well_is_paged_for_by_nothing(watched: Watched) -> None:
    """Whatever may be slow on a busy machine is left out: what is broken is not."""
    slow = {"DecisionsBurnFast"}
    firing = {
        each["labels"]["alertname"]
        for each in watched.prometheus.get("alerts")["alerts"]
        if each["state"] == "firing" and each["labels"]["severity"] == "page"
    }
    assert firing - slow == set()


BLOCKS = re.findall(r"^```sh\n(.+?)^```$", RUNBOOK.read_text(), re.M | re.S)
SETUP, COMMANDS = BLOCKS[0], BLOCKS[1:]


@pytest.fixture(scope="module")
def places(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the runbook has people export, for this installation; nobody visits it any more."""
    watched.ended.set()
    told = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', SETUP))
    data = watched.site.up.data_dir
    here = {
        **{role.upper(): f"http://{address}" for role, address in watched.addresses.items()},
        "DATA": str(data),
        "REDIS": f"redis-cli -s {urllib.parse.urlsplit(watched.site.log_url).path}",
    }
    here.setdefault("PROJECTOR", here["LEARNER"])
    assert told.keys() == here.keys(), "whatever the commands use is exported first"
    programs = tmp_path_factory.mktemp("bin")
    nextbest = programs / "nextbest"
    nextbest.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m cli "$@"\n')
    nextbest.chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")},
        **here,
        "NEXTBEST_DATA_DIR": str(data),
        "NEXTBEST_NAMESPACE": "nextbest",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }


def test_the_runbook_has_commands_for_whoever_is_woken() -> None:
    assert SETUP.startswith("export ")
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("line", sorted({line for block in COMMANDS for line in block.splitlines()}))
def test_a_command_of_the_runbook_runs(places: dict[str, str], line: str) -> None:
    """It ends well, and says nothing on its error output; a ``grep`` may find nothing while all is well."""
    require("redis-cli")
    require("curl")
    # What Redis tells of slow calls holds bytes of theirs that are no text.
    done = subprocess.run(
        ["bash", "-c", line], env=places, capture_output=True, errors="replace", timeout=90, check=False
    )
    said = [told for told in done.stderr.splitlines() if not told.startswith("nextbest: talking to")]
    assert said == []
    may_find_nothing = line.rpartition(" | ")[2].startswith("grep") or line.startswith("grep")
    assert done.returncode in ((0, 1) if may_find_nothing else (0,)), done.stdout
