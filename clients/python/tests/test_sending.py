"""What is told arrives: each event once, in order, whatever the server does in between."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

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


def test_a_process_that_exits_sends_what_waits(stub: Stub) -> None:
    run(
        """if True:
        import sys
        from nextbest_client import Client, Visitor
        Client(sys.argv[1], "pk", flush_every_s=60).track(Visitor("a1"), "last words")""",
        stub.url,
    )
    assert names(stub) == ["last words"]


def test_a_connection_that_was_closed_while_it_rested_is_no_failed_try(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    stub.hangs_up = True
    client = opened()
    for name in ("one", "two", "three"):
        client.track(ANNA, name)
        assert client.flush()
    assert names(stub) == ["one", "two", "three"]
    assert told == []


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
    until(lambda: len(stub.asked) == 2, "the other one tries too")
    assert names(stub) == ["one", "two"], "it leaves alone what a living one holds"
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


def test_arguments_that_cannot_be_sent_are_a_failure_too(
    opened: Opening, stub: Stub, told: list[NextbestError]
) -> None:
    client, nobody = opened(), cast(Visitor, None)
    for visitor, context in ((ANNA, {"at": object()}), (ANNA, {"at": float("nan")}), (nobody, {})):
        answer = client.decide("hero", visitor, default="welcome", context=context, events=[{"type": "page"}])
        assert answer.error is not None
        assert (answer["hero"].content, answer.error.code) == ("welcome", "invalid_argument")
        client.track(visitor, "Viewed", context)
    client.track(ANNA, "taken")
    assert client.flush()
    assert names(stub) == ["taken"]
    assert [error.code for error in told] == ["invalid_argument"] * 6


def test_other_threads_wait_no_longer_where_all_connections_are_taken(opened: Opening, stub: Stub) -> None:
    stub.free.clear()
    client = opened(n_connections=1)
    client.decide("hero", ANNA, timeout=0.1)
    began_s = time.monotonic()
    client.decide("hero", ANNA, timeout=0.1)
    assert time.monotonic() - began_s < 1
    stub.free.set()
    until(lambda: client.decide("hero", ANNA).error is None, "the server is there again")
