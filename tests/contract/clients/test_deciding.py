"""A decide is never late and never raises: the server's answer, or the caller's default and why."""

from __future__ import annotations

import socket
import time

import pytest
from nextbest_client import NextbestError, Placement, Visitor

from tests.clients.speaking_clients import Opening
from tests.clients.stub_server import Stub

ANNA = Visitor(anonymous_id="a1")
WELCOME = "<p>welcome</p>"


def test_what_the_server_decided_is_typed(opened: Opening, stub: Stub) -> None:
    answer = opened().decide(["hero", Placement("list", 2)], ANNA, context={"plan": "pro"}, deadline_ms=40)
    assert answer["hero"].content == {"type": "html", "html": "<p>red</p>"}
    assert (answer["list"].decision_id, answer.state_revision, answer.error) == ("d-1", 41, None)
    (asked,) = stub.asked
    assert asked.body == {
        "visitor": {"anonymousId": "a1"},
        "placements": ["hero", {"placement": "list", "slots": 2}],
        "requestId": answer.request_id,
        "context": {"plan": "pro"},
        "activate": True,
        "deadlineMs": 40,
    }


@pytest.mark.parametrize("how", ["silent", "trickling"])
def test_a_slow_server_costs_no_more_than_the_timeout(opened: Opening, stub: Stub, how: str) -> None:
    if how == "silent":
        stub.free.clear()
    else:
        stub.trickles = True
    client = opened()
    began_s = time.monotonic()
    answer = client.decide(
        ["hero", "theme"], ANNA, default=WELCOME, defaults={"theme": {"plan": "free"}}, timeout=0.3
    )
    assert 0.25 < time.monotonic() - began_s < 1.5
    assert [decision.content for decision in answer] == [WELCOME, {"plan": "free"}]
    assert {(decision.tier, decision.decision_id) for decision in answer} == {("default", None)}
    assert answer.error is not None
    assert answer.error.code == "timeout"
    assert answer["hero"].reason == "timeout: no answer in time"


def test_nobody_listens_and_the_default_says_so(opened: Opening) -> None:
    with socket.socket() as held:  # so that nobody else comes to listen there
        held.bind(("127.0.0.1", 0))
        client = opened(f"http://127.0.0.1:{held.getsockname()[1]}")
        answer = client.decide("hero", ANNA, default=WELCOME, timeout=5.0)  # it is told at once, on a quiet machine
    assert answer["hero"].content == WELCOME
    assert answer["hero"].reason.startswith("unreachable: ")
    assert [error.code for error in client.told()] == ["unreachable"]


def test_what_may_pass_is_asked_again_under_the_same_request_id(opened: Opening, stub: Stub) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}).then(
        429, {"code": "rate_limited", "message": "wait"}
    )
    answer = opened().decide("hero", ANNA, default=WELCOME)
    assert answer["hero"].content_id == "red"
    assert [asked.body["requestId"] for asked in stub.asked] == [answer.request_id] * 3


def test_who_may_ask_again_only_behind_the_timeout_gives_the_default_at_once(opened: Opening, stub: Stub) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After="9")
    began_s = time.monotonic()
    answer = opened().decide("hero", ANNA, default=WELCOME)
    assert time.monotonic() - began_s < 4
    assert (answer["hero"].content, len(stub.asked)) == (WELCOME, 1)


def test_what_is_refused_is_not_asked_again_and_says_field_and_remedy(opened: Opening, stub: Stub) -> None:
    refusal = {"code": "missing_visitor", "field": "visitor", "message": "names nobody", "requestId": "r-9"}
    stub.then(400, refusal)
    client = opened()
    error = client.decide("hero", Visitor(), default=WELCOME).error
    assert error is not None
    assert (error.code, error.field, error.message, error.request_id, error.status) == (
        "missing_visitor",
        "visitor",
        "names nobody",
        "r-9",
        400,
    )
    assert [str(told) for told in client.told()] == [str(error)]
    assert len(stub.asked) == 1


def test_who_asks_for_errors_gets_them(opened: Opening, stub: Stub) -> None:
    stub.then(401, {"code": "unauthorized", "field": "authorization", "message": "send a key", "requestId": "r"})
    with pytest.raises(NextbestError, match="unauthorized: authorization send a key"):
        opened(raise_errors=True).decide("hero", ANNA)


@pytest.mark.parametrize(
    "body",
    [b"<html>hello</html>", b"[]", b"7", b'{"decisions": []}', b'{"decisions": [{"placement": "hero"}]}'],
)
def test_an_answer_that_is_none_of_ours_is_a_failure(opened: Opening, stub: Stub, body: bytes) -> None:
    stub.then(200, body)
    answer = opened().decide("hero", ANNA, default=WELCOME)
    assert answer.error is not None
    assert (answer["hero"].content, answer.error.code) == (WELCOME, "bad_answer")


def test_what_goes_with_a_decide_that_fails_is_told_all_the_same_and_once(opened: Opening, stub: Stub) -> None:
    client = opened()
    client.decide("hero", ANNA)
    stub.free.clear()
    client.decide("hero", ANNA, timeout=0.5, events=[{"type": "page", "name": "Home"}])
    stub.free.set()
    assert client.flush()
    _, decide = stub.to("/v1/decide")
    assert stub.events() == decide.body["events"]
    assert stub.events()[0]["anonymousId"] == "a1"
    assert stub.events()[0]["messageId"] == f"{decide.body['requestId']}:0"


def test_a_default_is_no_decision_to_reward(opened: Opening, stub: Stub) -> None:
    stub.then(400, {"code": "x", "message": "y"})
    client = opened()
    client.reward(client.decide("hero", ANNA)["hero"])
    client.reward(client.decide("hero", ANNA)["hero"], 0.5, name="click", message_id="m")
    assert client.flush()
    reward = {"decisionId": "d-1", "name": "click", "value": 0.5, "messageId": "m", "final": False}
    assert [asked.body for asked in stub.to("/v1/rewards")] == [{"rewards": [reward]}]


def test_a_connection_that_was_closed_while_it_rested_is_no_failure(opened: Opening, stub: Stub) -> None:
    client = opened()
    stub.hangs_up = True
    for _ in range(3):
        assert client.decide("hero", ANNA).error is None


@pytest.mark.parametrize(("url", "key", "says"), [("example.com", "pk", "url"), ("http://x", "pk\n", "key")])
def test_what_can_be_no_address_and_no_key_is_told_at_once(speaker: Opening, url: str, key: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says} "):
        speaker(url, key)
