"""What is told arrives: each event once, in order, whatever the server does in between."""

from __future__ import annotations

import time
from typing import Any

import pytest
from nextbest_client import Visitor

from tests.clients.speaking_clients import Opening
from tests.clients.stub_server import Stub, until

ANNA = Visitor(anonymous_id="a1", user_id="u1")


def names(stub: Stub) -> list[str]:
    return [event["event"] for event in stub.events()]


def test_events_are_what_was_said(opened: Opening, stub: Stub) -> None:
    client = opened()
    before_ms = time.time() * 1000 - 1
    client.identify(ANNA, {"plan": "pro"})
    client.page(ANNA, "Home", {"path": "/"}, context={"locale": "en"})
    message_id = client.track(ANNA, "Product Viewed", {"price": 79}, message_id="m-1", timestamp=17)
    assert client.flush()
    identify, page, track = stub.events()
    assert identify["traits"] == {"plan": "pro"}
    assert before_ms <= identify["timestamp"] <= stub.asked[0].body["sentAt"]
    assert (page["name"], page["context"], page["userId"]) == ("Home", {"locale": "en"}, "u1")
    assert track == {
        "type": "track",
        "messageId": "m-1",
        "timestamp": 17,
        "anonymousId": "a1",
        "userId": "u1",
        "event": "Product Viewed",
        "properties": {"price": 79},
    }
    assert message_id == "m-1"


def test_a_batch_is_sent_again_as_it_was_and_not_before_the_server_may_be_asked(
    opened: Opening, stub: Stub
) -> None:
    stub.then(503, {"code": "storage_full", "message": "no room"}, Retry_After="1").then(502, b"bad gateway")
    client = opened()
    client.track(ANNA, "one")
    assert client.flush()
    first, second, third = stub.to("/v1/events")
    assert first.body["events"] == second.body["events"] == third.body["events"]
    assert second.at_s - first.at_s >= 1
    assert third.at_s - second.at_s < 1
    assert [error.code for error in client.told()] == ["storage_full", "http_502"]


def test_what_is_refused_is_told_and_holds_nothing_up(opened: Opening, stub: Stub) -> None:
    rejected = {"index": 0, "field": "events[0].event", "code": "missing_field", "message": "is missing"}
    stub.then(400, {"code": "missing_field", "message": "is missing", "accepted": 0, "rejected": [rejected] * 2})
    stub.then(200, {"accepted": 0, "rejected": [rejected], "warnings": []})
    stub.then(404, {"code": "not_found", "message": "another version"})
    client = opened()
    for name in ("all rejected", "rejected", "refused", "taken"):
        client.track(ANNA, name)
        assert client.flush()
    assert names(stub) == ["all rejected", "rejected", "refused", "taken"]
    told = [(error.code, error.field) for error in client.told()]
    assert told == [("missing_field", "events[0].event")] * 3 + [("not_found", None)]


def test_a_request_that_the_server_fails_at_each_time_is_given_up(opened: Opening, stub: Stub) -> None:
    for _ in range(10):
        stub.then(500, {"code": "internal", "message": "this is our mistake"})
    client = opened(longest_pause_s=0.02)
    client.track(ANNA, "poison")
    assert client.flush()
    client.track(ANNA, "taken")
    assert client.flush()
    assert names(stub) == ["poison"] * 10 + ["taken"]
    assert [error.code for error in client.told()] == ["internal"] * 10


def test_a_batch_is_within_its_bounds_and_order_is_kept(opened: Opening, stub: Stub) -> None:
    stub.free.clear()
    client = opened()
    for n in range(2_500):
        client.track(ANNA, str(n))
    client.reward("d-1", message_id="r")
    for n in range(60):
        client.track(ANNA, str(2_500 + n), {"text": "x" * 20_000})
    stub.free.set()
    assert client.flush()
    assert names(stub) == [str(n) for n in range(2_560)]
    assert max(asked.n_bytes for asked in stub.asked) <= 500_000
    assert max(len(asked.body["events"]) for asked in stub.to("/v1/events")) <= 2_000
    assert len(stub.asked) < 12


def test_while_events_keep_coming_they_go_together(opened: Opening, stub: Stub) -> None:
    client = opened(flush_every_s=0.3)
    began_s = time.monotonic()
    for n in range(600):
        client.track(ANNA, str(n))
        if n == 300:
            until(lambda: len(stub.asked) == 1, "the first of them are sent")
    took_s = time.monotonic() - began_s
    assert client.flush()
    assert names(stub) == [str(n) for n in range(600)]
    assert len(stub.asked) <= 2 + took_s / 0.3


def test_a_full_queue_says_what_it_drops_and_keeps_what_came_first(opened: Opening, stub: Stub) -> None:
    stub.free.clear()
    client = opened(max_queue_bytes=10_000)
    for n in range(200):
        client.track(ANNA, str(n))
    stub.free.set()
    assert client.flush()
    n_kept = len(names(stub))
    assert names(stub) == [str(n) for n in range(n_kept)]
    assert 20 < n_kept < 200
    assert [error.code for error in client.told()] == ["queue_full"] * (200 - n_kept)
    client.track(ANNA, "again")
    assert client.flush()
    assert names(stub)[-1] == "again"


def test_a_client_that_closes_sends_what_waits(opened: Opening, stub: Stub) -> None:
    client = opened(flush_every_s=60, close_timeout_s=10)
    client.track(ANNA, "waits")
    client.close()
    assert names(stub) == ["waits"]
    client.track(ANNA, "late")
    assert [error.code for error in client.told()] == ["closed"]


def test_a_client_that_cannot_send_closes_in_time_and_says_what_is_lost(opened: Opening, stub: Stub) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After="60")
    client = opened()
    client.track(ANNA, "one")
    client.track(ANNA, "two")
    until(lambda: bool(client.told()), "a try failed")
    began_s = time.monotonic()
    client.close()
    assert time.monotonic() - began_s < 2
    assert client.told()[-1].code == "not_sent"
    assert client.told()[-1].message.startswith("2 events")
    assert len(stub.asked) == 1


def test_rewards_and_exposures_go_together_and_in_order(opened: Opening, stub: Stub) -> None:
    stub.free.clear()
    client = opened()
    client.track(ANNA, "first")
    for n in range(1_001):
        client.activate(f"d/{n}")
    client.track(ANNA, "second")
    for n in range(3):
        client.reward(f"d/{n}", message_id=f"m-{n}")
    stub.free.set()
    assert client.flush()
    paths = ["/v1/events", "/v1/exposures", "/v1/exposures", "/v1/events", "/v1/rewards"]
    assert [asked.path for asked in stub.asked] == paths
    shown = [decision_id for asked in stub.to("/v1/exposures") for decision_id in asked.body["decisionIds"]]
    assert shown == [f"d/{n}" for n in range(1_001)]
    (rewards,) = stub.to("/v1/rewards")
    assert [reward["decisionId"] for reward in rewards.body["rewards"]] == ["d/0", "d/1", "d/2"]


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_refused_because_of_the_key_waits_until_the_key_is_mended(
    opened: Opening, stub: Stub, status: int
) -> None:
    stub.then(status, {"code": "unauthorized", "message": "no such key"})
    client = opened(longest_pause_s=0.2, flush_every_s=0.5)
    for name in ("one", "two"):
        client.track(ANNA, name)
    assert client.flush()
    first, second = stub.to("/v1/events")
    assert first.body["events"] == second.body["events"]
    assert second.at_s - first.at_s >= 0.1, "slowly"
    assert [error.code for error in client.told()] == ["unauthorized"]


def test_a_client_whose_key_is_refused_closes_at_once_and_says_what_is_lost(opened: Opening, stub: Stub) -> None:
    for _ in range(9):
        stub.then(401, {"code": "unauthorized", "message": "no such key"})
    client = opened(close_timeout_s=60)
    client.track(ANNA, "one")
    until(lambda: bool(client.told()), "a try failed")
    began_s = time.monotonic()
    client.close()
    assert time.monotonic() - began_s < 5
    assert [error.code for error in client.told()] == ["unauthorized", "not_sent"]
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>Log in to this network"), (204, b""), (308, b""), (404, b"<html>nginx"), (502, b"bad gateway")],
)
def test_what_something_else_answers_is_not_taken(opened: Opening, stub: Stub, status: int, body: bytes) -> None:
    stub.then(status, body).then(status, body)
    client = opened(flush_every_s=0.5)
    for name in ("one", "two"):
        client.track(ANNA, name)
    assert client.flush()
    assert [len(asked.body["events"]) for asked in stub.asked] == [2, 2, 2]
    assert [error.code for error in client.told()] == [f"http_{status}"] * 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"code": "bad_text", "message": "no JSON"}),
        (413, b"<html>nginx"),
        (500, {"code": "i", "message": "m"}),
    ],
)
def test_one_event_that_is_refused_takes_no_other_one_with_it(
    opened: Opening, stub: Stub, status: int, body: Any
) -> None:
    stub.refuses = lambda told: (status, body) if any(each["event"] == "500" for each in told) else None
    stub.free.clear()
    client = opened(longest_pause_s=0.02)
    for n in range(1_000):
        client.track(ANNA, str(n))
    stub.free.set()
    assert client.flush()
    taken = [event["event"] for event in stub.taken()]
    assert taken == [str(n) for n in range(1_000) if n != 500]
    assert len(stub.asked) < 60
    told = [error.status for error in client.told()]
    assert set(told) == {status}
    assert 10 <= len(told) <= 20 if status == 500 else len(told) == 1, (
        "what may pass is tried, what is wrong is not"
    )


@pytest.mark.parametrize("after", ["9" * 30, "²", "-1", "soon", "Fri, 27 Nov 2026 12:00:00 GMT"])
def test_an_odd_retry_after_is_none_and_stops_nothing(opened: Opening, stub: Stub, after: str) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After=after)
    client = opened(close_timeout_s=0.1)
    client.track(ANNA, "one")
    until(lambda: bool(client.told()), "a try failed")
    if not after.isdecimal():
        assert client.flush()
        assert names(stub) == ["one", "one"]
    client.close()
    assert {error.code for error in client.told()} <= {"unavailable", "not_sent"}


def test_half_of_a_surrogate_pair_is_no_character_and_what_is_text_stays(opened: Opening, stub: Stub) -> None:
    """A text that was cut within an emoji: a server refuses all that it stands in."""
    client = opened()
    client.track(ANNA, "cut", {"text": "a\ud83d", "whole": '\U0001f600 ü \\ud83d "q" \n'})
    assert client.flush()
    (event,) = stub.events()
    assert event["properties"]["text"] in ("a?", "a\ufffd")
    assert event["properties"]["whole"] == '\U0001f600 ü \\ud83d "q" \n'


def test_a_server_that_trickles_costs_a_try_no_more_than_its_time(opened: Opening, stub: Stub) -> None:
    stub.trickles = True
    client = opened(send_timeout_s=0.3)
    client.track(ANNA, "one")
    until(lambda: bool(client.told()), "the try ended")
    stub.trickles = False
    assert client.flush()
    assert client.told()[0].code == "timeout"
