"""What happened is added up and found again, on either log, whatever becomes of the projector."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import urllib.error
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from config.setting_values import RedisUrl
from config.settings import Settings
from eventlog.topics import DECISIONS, OUTCOMES
from installation.opened import open_installation
from installation.records import records_of
from personalization.errors import Unavailable
from personalization.events.decision_record import decode_record
from personalization.events.event import DecisionMade
from personalization.events.forgotten import is_forgotten
from personalization.events.outcome import decode_outcome
from state.records import RecordFinder
from tests.commands import ran
from tests.requirements import require
from tests.running import Up, start, stop, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

T = TypeVar("T")

NAMESPACE = "projected"
CATALOG = """
placements:
  home.hero:
    content: [red, green]
    default: red
    window: 300ms
    rewards:
      - event: Clicked
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


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


def decide(up: Up, visitor: str, **more: Any) -> dict[str, Any]:
    body = {"visitor": {"anonymousId": visitor}, "placements": ["home.hero"], **more}
    (decision,) = up.call("POST", "/v1/decide", body, key="pk_dev")["decisions"]
    return dict(decision)


def look(up: Up, ask: Callable[[RecordFinder], Awaitable[T]]) -> T:
    """What the finder of records answers, as a command beside the installation asks it."""
    settings = Settings(
        redis=RedisUrl(up.redis_url()), namespace=NAMESPACE, data_dir=str(up.data_dir), kafka=up.kafka
    )

    async def asked() -> T:
        async with open_installation(settings) as installation:
            return await ask(records_of(installation))

    return asyncio.run(asked())


def test_a_decision_is_found_by_its_id_its_visitor_and_its_request(up: Up) -> None:
    decision = decide(up, "found", requestId="the-request")
    decide(up, "somebody-else", requestId="another")
    decision_id = decision["decisionId"]
    until(lambda: look(up, lambda records: records.decision(decision_id)) is not None, "the record is found")
    record = look(up, lambda records: records.decision(decision_id))
    assert record is not None
    assert (record.choice.decision_id, record.choice.arm, record.key) == (
        decision_id,
        decision["contentId"],
        "a:found",
    )
    assert look(up, lambda records: records.decisions_of(["a:found"], 10)) == [record]
    assert look(up, lambda records: records.decisions_of_request("the-request")) == [record]
    entries = look(up, lambda records: records.entries_of(["a:found"], 10))
    made = [each.entry.event for each in entries if type(each.entry.event) is DecisionMade]
    assert [event.choice.decision_id for event in made] == [decision_id]
    assert {each.key for each in entries} == {"a:found"}


def test_what_became_of_a_decision_is_found_once_it_is_closed(up: Up) -> None:
    decision = decide(up, "rewarded")
    up.call("POST", f"/v1/decisions/{decision['decisionId']}/reward", {"value": 1.0}, key="sk_dev")
    until(
        lambda: look(up, lambda records: records.outcome(decision["decisionId"])) is not None,
        "the outcome is found",
    )
    outcome = look(up, lambda records: records.outcome(decision["decisionId"]))
    assert outcome is not None
    assert (outcome.choice.decision_id, outcome.reward) == (decision["decisionId"], 1.0)


def test_a_decision_that_nobody_made_is_not_found(up: Up) -> None:
    decide(up, "anybody")
    assert look(up, lambda records: records.decision("bm90LW9uZS1vZi1vdXJz")) is None
    assert look(up, lambda records: records.decisions_of(["a:never-seen"], 10)) == []
    assert look(up, lambda records: records.decisions_of_request("never-asked")) == []


def arms(up: Up, over: str = "1h") -> dict[str, dict[str, Any]]:
    answer = up.call("GET", f"/v1/placements/home.hero/arms?over={over}")
    return {arm["contentId"]: arm for arm in answer["arms"]}


def counted(up: Up) -> dict[str, tuple[float, float, float]]:
    """By arm, decisions, outcomes and rewards as the log itself tells, counted one by one."""
    settings = Settings(
        redis=RedisUrl(up.redis_url()), namespace=NAMESPACE, data_dir=str(up.data_dir), kafka=up.kafka
    )

    async def read(topic: str) -> list[bytes]:
        async with open_installation(settings) as installation:
            log = installation.log
            n_partitions = (await log.identity()).n_partitions
            return [e.value for p in range(n_partitions) async for e in log.read(topic, p, 0)]

    records = {record.choice.decision_id: record for record in map(decode_record, asyncio.run(read(DECISIONS)))}
    found: dict[str, tuple[float, float, float]] = {}
    for record in records.values():
        n, n_outcomes, rewards = found.get(record.choice.arm, (0.0, 0.0, 0.0))
        found[record.choice.arm] = (n + 1, n_outcomes, rewards)
    outcomes = [decode_outcome(value) for value in asyncio.run(read(OUTCOMES)) if not is_forgotten(value)]
    closed = {outcome.choice.decision_id: outcome for outcome in outcomes}
    for outcome in closed.values():
        n, n_outcomes, rewards = found.get(outcome.choice.arm, (0.0, 0.0, 0.0))
        found[outcome.choice.arm] = (n, n_outcomes + 1, rewards + outcome.reward)
    return found


def added_up(up: Up) -> dict[str, tuple[float, float, float]]:
    return {name: (arm["decisions"], arm["outcomes"], arm["rewards"]) for name, arm in arms(up).items()}


def serve(up: Up, visitors: range) -> None:
    """Decide for each visitor, and reward every third."""
    for number in visitors:
        decision = decide(up, f"visitor-{number}")
        if number % 3 == 0:
            up.call("POST", f"/v1/decisions/{decision['decisionId']}/reward", {"value": 1.0})


def n_closed(up: Up) -> float:
    return sum(n_outcomes for _, n_outcomes, _ in counted(up).values())


def projector_pid(up: Up) -> int:
    """The projector's, while it runs; 0: it does not."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if words[-2:-1] == [b"projector"] and parent == up.process.pid:
            return int(folder.name)
    return 0


def test_arms_show_what_was_decided_and_what_came_of_it(up: Up) -> None:
    before = n_closed(up)
    serve(up, range(12))
    until(lambda: n_closed(up) >= before + 12 and added_up(up) == counted(up), "all is added up")
    found = arms(up)
    assert sum(arm["share"] for arm in found.values()) == pytest.approx(1.0)
    for arm in found.values():
        low, high = arm["interval"]
        assert low <= arm["reward"] <= high
        assert sum(each["outcomes"] for each in arm["calibration"]) <= arm["outcomes"]
    assert any(arm["calibration"] for arm in found.values()), "predictions stand beside what came"
    assert arms(up, "24h").keys() == arms(up, "90d").keys() == found.keys()


@pytest.mark.parametrize("over", ["soon", "1s", "91d"])
def test_a_length_of_time_that_is_none_is_refused_with_a_remedy(up: Up, over: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        arms(up, over)
    with refused.value as error:
        assert error.code == 400
        assert "from a minute to ninety days" in error.read().decode()


def test_a_projector_that_is_killed_under_load_counts_everything_once(up: Up) -> None:
    before = n_closed(up)
    for first in (100, 200, 300):
        serve(up, range(first, first + 20))
        killed = projector_pid(up)
        os.kill(killed, signal.SIGKILL)
        serve(up, range(first + 20, first + 40))
        until(lambda killed=killed: projector_pid(up) not in (0, killed), "the projector runs again")  # type: ignore[misc]
    until(lambda: n_closed(up) >= before + 120, "all has closed")
    until(lambda: added_up(up) == counted(up), "sums are what the log says")


# Behind those that compare sums to the log: sums keep what the log has let go. Kafka gives up no single entries.
@pytest.mark.parametrize("up", ["redis_streams"], indirect=True)
def test_who_is_erased_is_not_found_by_what_the_log_no_longer_holds(up: Up) -> None:
    decision_id = decide(up, "erased", requestId="of-the-erased")["decisionId"]
    until(lambda: look(up, lambda records: records.outcome(decision_id)) is not None, "the outcome is found")
    up.call("DELETE", "/v1/visitors/erased?kind=anonymous")
    until(lambda: look(up, lambda records: records.decision(decision_id)) is None, "the record is gone")
    assert look(up, lambda records: records.decisions_of(["a:erased"], 10)) == []
    assert look(up, lambda records: records.decisions_of_request("of-the-erased")) == []
    made = [each.entry.event for each in look(up, lambda records: records.entries_of(["a:erased"], 10))]
    assert not any(type(event) is DecisionMade for event in made)


def test_another_epoch_of_the_log_is_projected_from_its_beginning(up: Up) -> None:
    old = decide(up, "of-the-old-epoch")["decisionId"]
    until(lambda: look(up, lambda records: records.decision(old)) is not None, "the record is found")
    before = sum(n for n, _, _ in added_up(up).values())
    opened = ran(("epoch", "--data-dir", str(up.data_dir), "open", "--lossy"), os.environ)
    assert opened.returncode == 0, opened.stderr
    new: list[str] = []

    def is_found() -> bool:
        with contextlib.suppress(urllib.error.HTTPError):
            new.append(decide(up, "of-the-new-epoch")["decisionId"])
        with contextlib.suppress(Unavailable):
            return bool(new) and look(up, lambda records: records.decision(new[0])) is not None
        return False

    until(is_found, "what was decided in the new epoch is found")
    assert look(up, lambda records: records.decision(old)) is None
    until(lambda: sum(n for n, _, _ in added_up(up).values()) > before, "sums go on")
