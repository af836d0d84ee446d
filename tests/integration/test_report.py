"""What an experiment's report counts is what was sent, side by side, whatever becomes of those who count it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from config.setting_values import RedisUrl
from config.settings import Settings
from installation.opened import open_installation
from personalization.evaluation.strata import EVERYBODY, MetricSums, SideSums
from state.read_models import ReadModels
from tests.commands import ran
from tests.requirements import require
from tests.running import Up, start, stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAMESPACE = "reported"
HORIZON_S = 6
"""A visitor's events follow their decision at once; this is how far a busy machine may delay them."""

CAP, MARGIN = 200.0, 0.3
CATALOG = f"""
placements:
  home.hero:
    content: [red, green]
    default: red
    window: {HORIZON_S}s
    holdout: 50%
    horizon: {HORIZON_S}s
    rewards:
      - event: Clicked
  home.thin:
    content: [red, green]
    default: red
    window: {HORIZON_S}s
    holdout: 50%
    horizon: {HORIZON_S}s
  home.plain:
    content: [red, green]
    default: red
metrics:
  bought: {{event: Order Completed}}
  revenue: {{event: Order Completed, value: properties.revenue, cap: {CAP:g}, margin: {MARGIN}, unit: EUR}}
content:
  red: {{type: html, body: <p>red</p>}}
  green: {{type: html, body: <p>green</p>, cost: 0.1}}
segments:
  buyers: n_orders > 0
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


@dataclass
class Sent:
    """What was sent of one side."""

    n: int = 0
    n_bought: int = 0
    n_clicked: int = 0
    revenue: float = 0.0
    cost: float = 0.0

    def add(self, other: Sent) -> None:
        self.n += other.n
        self.n_bought += other.n_bought
        self.n_clicked += other.n_clicked
        self.revenue += other.revenue
        self.cost += other.cost


@dataclass
class Told:
    """By side."""

    sides: dict[str, Sent] = field(default_factory=dict)

    def add(self, side: str, sent: Sent) -> None:
        self.sides.setdefault(side, Sent()).add(sent)


ON_REDIS = pytest.mark.parametrize("up", ["redis_streams"], indirect=True)
"""For what is the same whatever the log is."""


@pytest.fixture(scope="module", params=["redis_streams", pytest.param("kafka", marks=pytest.mark.kafka)])
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    require("redis")
    catalog = tmp_path_factory.mktemp("catalog")
    (catalog / "hero.yaml").write_text(CATALOG)
    settings = {
        # Others use this machine too: the budgets of a quiet one are measured by the benchmarks.
        "NEXTBEST_REDIS_TIMEOUT_MS": "1000",
        "NEXTBEST_DEADLINE_MS": "5000",
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_PARTITIONS": "4",
    }
    if request.param == "kafka":
        settings["NEXTBEST_KAFKA"] = request.getfixturevalue("kafka_server")
    running = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog), **settings)
    running.kafka = settings.get("NEXTBEST_KAFKA", "")
    yield running
    stop(running)


def command(up: Up, *words: str) -> subprocess.CompletedProcess[str]:
    return ran((*words, "--data-dir", str(up.data_dir)), os.environ)


def decide(up: Up, visitor: str, placement: str = "home.hero") -> tuple[str, str]:
    """Which side the visitor is on, and what they were shown."""
    body = {"visitor": {"anonymousId": visitor}, "placements": [placement]}
    (decision,) = up.call("POST", "/v1/decide", body, key="pk_dev")["decisions"]
    return "control" if decision["holdout"] else "", decision["contentId"]


def track(up: Up, visitor: str, event: str, message_id: str, **properties: Any) -> None:
    body = {
        "type": "track",
        "event": event,
        "messageId": message_id,
        "anonymousId": visitor,
        "properties": properties,
    }

    def is_taken() -> bool:
        try:
            return bool(up.call("POST", "/v1/events", body)["accepted"] == 1)
        except urllib.error.HTTPError as error:
            if error.code == 503:  # "send again": it is the same message
                return False
            raise

    until(is_taken, f"the log takes {message_id}")


def n_open(up: Up, visitor: str) -> int:
    """How many decisions of the visitor are open."""
    try:
        return int(up.call("GET", f"/v1/visitors/{visitor}?kind=anonymous")["openDecisions"])
    except urllib.error.HTTPError as error:
        if error.code in (404, 503):  # not folded yet; busy
            return 0
        raise


def visit(up: Up, number: int, name: str = "visitor", *, acts: bool = True) -> tuple[str, Sent]:
    """One visitor: shown twice, buys or does not, clicks or does not; who does not act is only shown something."""
    visitor = f"{name}-{number}"
    side, shown = decide(up, visitor)
    again, shown_again = decide(up, visitor)
    assert again == side
    if not acts:
        return side, Sent(n=1, cost=0.1 * [shown, shown_again].count("green"))
    # What is recorded of a decision reaches the log a moment after its answer.
    until(lambda: n_open(up, visitor) == 2, f"both decisions of {visitor} are folded")
    sent = Sent(n=1, cost=0.1 * [shown, shown_again].count("green"))
    if number % 4 == 0:
        worth = 40.0 + number
        track(up, visitor, "Order Completed", f"{visitor}-1", revenue=worth)
        sent.n_bought, sent.revenue = 1, min(CAP, worth)
    if number % 16 == 0:
        track(up, visitor, "Order Completed", f"{visitor}-2", revenue=3.0 * CAP)
        sent.revenue = CAP
    if number % 3 == 0:
        track(up, visitor, "Clicked", f"{visitor}-3", contentId=shown)
        sent.n_clicked = 1
    return side, sent


def visited(up: Up, told: Told, numbers: range, name: str = "visitor", *, acts: bool = True) -> None:
    with ThreadPoolExecutor(4) as threads:
        for side, sent in threads.map(lambda number: visit(up, number, name, acts=acts), numbers):
            told.add(side, sent)


def counted(up: Up, placement: str = "home.hero") -> dict[str, SideSums]:
    """What the projector has added up, by side, as a command beside the installation reads it."""
    settings = Settings(
        redis=RedisUrl(up.redis_url()), namespace=NAMESPACE, data_dir=str(up.data_dir), kafka=up.kafka
    )

    async def read() -> dict[str, SideSums]:
        async with open_installation(settings) as opened:
            strata = await ReadModels(opened.redis, opened.keys).strata(placement, time.time_ns() // 1_000_000)
        assert len(strata) <= 1, "one split was in force"
        return strata[0].segments[EVERYBODY] if strata else {}

    return asyncio.run(read())


def added_up_as_sent(up: Up, told: Told) -> None:
    """Wait until all that was sent is added up; it has to be so to the last cent, with nothing besides."""
    sent = {
        side: (each.n, each.n_bought, each.n_clicked, round(each.revenue, 6), round(each.cost, 6))
        for side, each in told.sides.items()
    }
    n = sum(each.n for each in told.sides.values())
    found: list[dict[str, SideSums]] = [{}]

    def are_all_there() -> bool:
        found[0] = counted(up)
        return sum(sums.n for sums in found[0].values()) >= n

    until(are_all_there, f"{n} visitors are added up")
    assert {side: _sent(sums) for side, sums in found[0].items()} == sent


def _sent(sums: SideSums) -> tuple[float, float, float, float, float]:
    bought, clicked, revenue = (sums.metrics.get(name, MetricSums()) for name in ("bought", "reward", "revenue"))
    return sums.n, bought.total, clicked.total, round(revenue.total, 6), round(sums.cost, 6)


def reported(up: Up, placement: str) -> dict[str, Any]:
    (found,) = up.call("GET", f"/v1/experiments?placement={placement}")["experiments"]
    return dict(found)


@pytest.fixture(scope="module")
def told(up: Up) -> Told:
    """What was sent to ``up`` so far; a test that sends more adds it here."""
    return Told()


def role_pid(up: Up, role: str) -> int:
    """The role's process, while it runs; 0: it does not."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if words[-2:-1] == [role.encode()] and parent == up.process.pid:
            return int(folder.name)
    return 0


def test_a_report_counts_what_was_sent_side_by_side(up: Up, told: Told) -> None:
    visited(up, told, range(300))
    added_up_as_sent(up, told)
    report = reported(up, "home.hero")
    assert report["counts"] == {side: each.n for side, each in told.sides.items()}
    assert report["split"] == {"control": 0.5, "": 0.5}
    assert report["horizonMs"] == HORIZON_S * 1_000
    assert (report["alarm"], report["missing"]) == ("", "")
    (bought,) = (each for each in report["differences"] if (each["metric"], each["segment"]) == ("bought", ""))
    treated, control = told.sides[""], told.sides["control"]
    assert (bought["nSide"], bought["nAgainst"]) == (treated.n, control.n)
    assert bought["meanSide"] == pytest.approx(treated.n_bought / treated.n)
    assert bought["meanAgainst"] == pytest.approx(control.n_bought / control.n)
    assert bought["low"] <= bought["difference"] <= bought["high"]
    (revenue,) = (each for each in report["differences"] if (each["metric"], each["segment"]) == ("revenue", ""))
    assert revenue["difference"] is None
    assert "1,000" in revenue["missing"], "an amount of some hundred visitors is not judged"


@ON_REDIS
def test_command_and_api_say_the_same(up: Up, told: Told) -> None:
    for flag, query in (((), ""), (("--segments",), "&segments=true")):
        done = command(up, "report", "home.hero", "--json", *flag)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == reported(up, f"home.hero{query}")
        segments = {each["segment"] for each in json.loads(done.stdout)["differences"]}
        assert segments <= ({"", "buyers"} if flag else {""})
    everything = up.call("GET", "/v1/experiments")
    assert [each["placement"] for each in everything["experiments"]] == ["home.hero", "home.thin"]
    assert everything["experiments"][0] == reported(up, "home.hero")


@ON_REDIS
def test_the_command_prints_words_and_tables_and_writes_a_page(up: Up, told: Told, tmp_path: Path) -> None:
    done = command(up, "report", "home.hero", "--segments", "--html", str(tmp_path / "hero.html"))
    assert done.returncode == 0, done.stderr
    words = reported(up, "home.hero")["differences"][0]["words"]
    assert words
    assert words in done.stdout
    assert f"({told.sides[''].n} and {told.sides['control'].n} visitors)" in done.stdout
    assert any(line.startswith("bought ") for line in done.stdout.splitlines())
    assert words.replace(" %", "\u00a0%") in (tmp_path / "hero.html").read_text("utf-8")
    summary = command(up, "report")
    assert f"home.hero: {words}" in summary.stdout


@ON_REDIS
def test_where_nothing_can_be_said_a_sentence_says_why_and_the_exit_code_is_3(up: Up) -> None:
    plain = command(up, "report", "home.plain")
    assert (plain.returncode, plain.stdout) == (3, "")
    assert "holdout" in plain.stderr
    decide(up, "lonely", "home.thin")
    until(lambda: sum(reported(up, "home.thin")["counts"].values()) == 1, "the only visitor is counted")
    thin = command(up, "report", "home.thin")
    assert (thin.returncode, thin.stdout) == (3, "")
    assert thin.stderr.splitlines()[-1] == f"nextbest: {reported(up, 'home.thin')['missing']}"
    for name in ("home.plain", "home.thin"):
        assert all(each["difference"] is None for each in reported(up, name)["differences"])


@ON_REDIS
def test_a_placement_that_is_not_there_is_named_with_one_that_is_like_it(up: Up) -> None:
    done = command(up, "report", "home.heros")
    assert done.returncode == 1
    assert "there is no placement 'home.heros'; did you mean 'home.hero'?" in done.stderr
    with pytest.raises(urllib.error.HTTPError) as refused:
        reported(up, "home.heros")
    with refused.value as error:
        assert error.code == 404
        answer = json.loads(error.read())
    assert (answer["code"], answer["field"]) == ("not_found", "placement")
    assert "did you mean 'home.hero'?" in answer["message"]
    with pytest.raises(urllib.error.HTTPError) as forbidden:
        up.call("GET", "/v1/experiments", key="pk_dev")
    with forbidden.value as error:
        assert error.code == 403


@ON_REDIS
def test_who_is_erased_or_refuses_before_the_horizon_ends_is_not_in_it(up: Up, told: Told) -> None:
    for number in range(6):
        decide(up, f"gone-{number}")
    for number in range(3):
        up.call("DELETE", f"/v1/visitors/gone-{number}?kind=anonymous")
    for number in range(3, 6):
        answer = {"visitor": {"anonymousId": f"gone-{number}"}, "purposes": {"personalization": False}}
        up.call("POST", "/v1/consent", answer, key="pk_dev")
    visited(up, told, range(12), "after")  # whose horizons end behind theirs
    added_up_as_sent(up, told)


@ON_REDIS
def test_who_was_in_a_segment_at_the_first_exposure_counts_in_it(up: Up, told: Told) -> None:
    for number in range(3):
        track(up, f"buyer-{number}", "Order Completed", f"buyer-{number}-0", revenue=10.0)
        until(lambda number=number: up.event_count(f"buyer-{number}") > 0, "it is folded")  # type: ignore[misc]
    visited(up, told, range(1, 3), "buyer")
    added_up_as_sent(up, told)
    report = reported(up, "home.hero&segments=true")
    of_buyers = [each for each in report["differences"] if each["segment"] == "buyers"]
    assert of_buyers
    for each in of_buyers:
        assert each["nSide"] + each["nAgainst"] == 2
        assert each["missing"], "two visitors say nothing"


def test_folder_and_projector_that_are_killed_count_nobody_twice(up: Up, told: Told) -> None:
    for at, role in enumerate(("folder", "projector", "folder", "projector")):
        # Who acts does so within the horizon, which a folder that is away outlasts: so not before it folds again.
        up.track(f"pulse-{at}", f"pulse-{at}")
        until(lambda at=at: up.event_count(f"pulse-{at}") > 0, "the folder folds")  # type: ignore[misc]
        visited(up, told, range(at * 20, at * 20 + 10), "killed")
        killed = role_pid(up, role)
        os.kill(killed, signal.SIGKILL)
        visited(up, told, range(at * 20 + 10, at * 20 + 20), "killed", acts=False)
        until(lambda role=role, killed=killed: role_pid(up, role) not in (0, killed), f"the {role} runs again")  # type: ignore[misc]
    added_up_as_sent(up, told)
    report = reported(up, "home.hero")
    assert report["counts"] == {side: each.n for side, each in told.sides.items()}
    assert not any(report["crossovers"].values())
