"""What is told arrives: each event once, in order, whatever the server does in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.stub_server import Stub, serving, until

from nextbest_client import Client, NextbestError, Visitor, batch

ANNA = Visitor(anonymous_id="a1", user_id="u1")
PACKAGE = Path(batch.__file__).parent.parent
Opening = Callable[..., Client]


@pytest.fixture
def stub() -> Iterator[Stub]:
    with serving() as stub:
        yield stub


@pytest.fixture
def told() -> list[NextbestError]:
    return []


@pytest.fixture
def opened(stub: Stub, told: list[NextbestError]) -> Iterator[Opening]:
    clients: list[Client] = []

    def open_client(**options: Any) -> Client:
        fast = {"first_pause_s": 0.01, "flush_every_s": 0.01, "close_timeout_s": 0.2, "on_error": told.append}
        clients.append(Client(stub.url, "pk_dev", **{**fast, **options}))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


def run(code: str, *arguments: str) -> None:
    """Run code in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, check=True, timeout=30)


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
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    stub.then(503, {"code": "storage_full", "message": "no room"}, Retry_After="1").then(502, b"bad gateway")
    client = opened()
    client.track(ANNA, "one")
    assert client.flush()
    first, second, third = stub.to("/v1/events")
    assert first.body["events"] == second.body["events"] == third.body["events"]
    assert second.at_s - first.at_s >= 1
    assert third.at_s - second.at_s < 1
    assert [error.code for error in told] == ["storage_full", "http_502"]


def test_what_is_refused_is_told_and_holds_nothing_up(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    rejected = {"index": 0, "field": "events[0].event", "code": "missing_field", "message": "is missing"}
    stub.then(200, {"accepted": 0, "rejected": [rejected], "warnings": []}).then(
        403, {"code": "no", "message": "n"}
    )
    client = opened()
    for name in ("rejected", "refused", "taken"):
        client.track(ANNA, name)
        assert client.flush()
    assert names(stub) == ["rejected", "refused", "taken"]
    assert [(error.code, error.field) for error in told] == [("missing_field", "events[0].event"), ("no", None)]


def test_a_request_that_the_server_fails_at_each_time_is_given_up(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    for _ in range(10):
        stub.then(500, {"code": "internal", "message": "this is our mistake"})
    client = opened(longest_pause_s=0.02)
    client.track(ANNA, "poison")
    assert client.flush()
    client.track(ANNA, "taken")
    assert client.flush()
    assert names(stub) == ["poison"] * 10 + ["taken"]
    assert [error.code for error in told] == ["internal"] * 10


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


def test_a_full_queue_says_what_it_drops_and_keeps_what_came_first(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    stub.free.clear()
    client = opened(max_queue_bytes=10_000)
    for n in range(200):
        client.track(ANNA, str(n))
    stub.free.set()
    assert client.flush()
    n_kept = len(names(stub))
    assert names(stub) == [str(n) for n in range(n_kept)]
    assert 20 < n_kept < 200
    assert [error.code for error in told] == ["queue_full"] * (200 - n_kept)
    client.track(ANNA, "again")
    assert client.flush()
    assert names(stub)[-1] == "again"


def test_who_is_told_of_errors_and_fails_stops_nothing(opened: Opening, stub: Stub) -> None:
    def on_error(error: NextbestError) -> None:
        raise RuntimeError(error.code)

    stub.then(400, {"code": "no", "message": "n"})
    client = opened(on_error=on_error)
    for name in ("refused", "taken"):
        client.track(ANNA, name)
        assert client.flush()
    client.track(ANNA, "no JSON", {"at": object()})
    assert names(stub) == ["refused", "taken"]


def test_a_client_that_closes_sends_what_waits(opened: Opening, stub: Stub, told: list[NextbestError]) -> None:
    client = opened(flush_every_s=60, close_timeout_s=10)
    client.track(ANNA, "waits")
    client.close()
    assert names(stub) == ["waits"]
    client.track(ANNA, "late")
    assert [error.code for error in told] == ["closed"]


def test_a_client_that_cannot_send_closes_in_time_and_says_what_is_lost(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    stub.then(503, {"code": "unavailable", "message": "wait"}, Retry_After="60")
    client = opened()
    client.track(ANNA, "one")
    client.track(ANNA, "two")
    until(lambda: bool(told), "a try failed")
    began_s = time.monotonic()
    client.close()
    assert time.monotonic() - began_s < 2
    assert told[-1].code == "not_sent"
    assert told[-1].message.startswith("2 events")
    assert len(stub.asked) == 1


def test_a_process_that_exits_sends_what_waits(stub: Stub) -> None:
    run(
        """if True:
        import sys
        from nextbest_client import Client, Visitor
        Client(sys.argv[1], "pk", flush_every_s=60).track(Visitor("a1"), "last words")""",
        stub.url,
    )
    assert names(stub) == ["last words"]


def test_what_a_process_that_died_left_on_disk_is_sent_by_the_next(
    opened: Opening, stub: Stub, tmp_path: Path
) -> None:
    run(
        """if True:
        import os, sys
        from nextbest_client import Client, Visitor
        client = Client(sys.argv[1], "pk", disk=sys.argv[2], flush_every_s=60)
        for n in range(3):
            client.track(Visitor("a1"), str(n), message_id=f"m-{n}")
        client.reward("d-1", message_id="r")
        os._exit(0)""",
        stub.url,
        str(tmp_path),
    )
    assert stub.asked == []
    (left,) = tmp_path.iterdir()
    with left.open("ab") as file:
        file.write(b'/v1/events {"torn')
    client = opened(disk=tmp_path)
    until(lambda: len(stub.asked) == 2, "all of it is sent")
    assert client.flush()
    assert [event["messageId"] for event in stub.events()] == ["m-0", "m-1", "m-2"]
    assert [asked.body["messageId"] for asked in stub.to("/v1/decisions/d-1/reward")] == ["r"]
    assert list(tmp_path.iterdir()) == []


def test_what_a_client_could_not_send_stays_on_disk_and_what_it_could_does_not(
    opened: Opening, stub: Stub, told: list[NextbestError], tmp_path: Path
) -> None:
    stub.free.clear()
    client = opened(disk=tmp_path)
    client.track(ANNA, "one")
    until(lambda: bool(stub.asked), "a try is under way")
    other = opened(disk=tmp_path)
    other.track(ANNA, "two")
    until(lambda: len(stub.asked) == 2, "the other one leaves alone what a living one holds")
    client.close()
    assert [error.code for error in told if error.code == "not_sent"] == []
    stub.free.set()
    assert other.flush()
    last = opened(disk=tmp_path)
    until(lambda: list(tmp_path.iterdir()) == [], "all is sent")
    assert last.flush()
    assert {event["event"] for event in stub.events()} == {"one", "two"}
    assert len({event["messageId"] for event in stub.events()}) == 2


def test_a_disk_that_takes_nothing_is_told_and_loses_nothing(
    opened: Opening, stub: Stub, told: list[NextbestError], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    client = opened(disk=tmp_path / "file")
    client.track(ANNA, "one")
    assert client.flush()
    assert names(stub) == ["one"]
    assert "disk" in {error.code for error in told}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.parametrize("disk", [False, True])
def test_a_forked_process_sends_its_own_and_not_its_parents(stub: Stub, tmp_path: Path, disk: bool) -> None:
    run(
        """if True:
        import os, sys
        from nextbest_client import Client, Visitor
        client = Client(sys.argv[1], "pk", flush_every_s=60, disk=sys.argv[2] or None)
        visitor = Visitor("a1")
        assert client.decide("hero", visitor, timeout=10).error is None
        client.track(visitor, "parent")
        child = os.fork()
        if child == 0:
            assert client.decide("hero", visitor, timeout=10).error is None
            client.track(visitor, "child")
            client.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.decide("hero", visitor, timeout=10).error is None
        client.close()""",
        stub.url,
        str(tmp_path) if disk else "",
    )
    assert names(stub) == ["child", "parent"]
    assert list(tmp_path.iterdir()) == []
