"""What happened is added up and found again, on either log, whatever becomes of the projector."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from config.settings import RedisUrl, Settings
from installation.opened import open_installation
from installation.records import records_of
from personalization.events.event import DecisionMade
from state.records import RecordFinder
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
