"""What is told arrives: each event once, in order, whatever the server does in between."""

from __future__ import annotations

import errno
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from io import FileIO
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from tests.certificates import Authority
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
    assert [asked.body["rewards"][0]["messageId"] for asked in stub.to("/v1/rewards")] == ["r"]
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


def test_a_certificate_that_ended_drops_nothing_until_it_is_renewed(
    told: list[NextbestError], tmp_path: Path
) -> None:
    """Its error is a ``ValueError`` too, as those of arguments are."""
    authority = Authority.make(tmp_path)
    trusting, shown = ssl.create_default_context(cafile=authority.file), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ended, renewed = (authority.sign(str(each), "127.0.0.1", ended=each) for each in (True, False))
    shown.load_cert_chain(ended.certificate, ended.key)
    quick: dict[str, Any] = {"first_pause_s": 0.01, "flush_every_s": 0.01, "longest_pause_s": 0.1}
    with serving(shown) as stub:
        with Client(stub.url, "pk", on_error=told.append, ssl_context=trusting, **quick) as client:
            client.track(ANNA, "one")
            until(lambda: len(told) > 2, "tries failed")
            shown.load_cert_chain(renewed.certificate, renewed.key)
            assert client.flush()
        assert names(stub) == ["one"]
    assert {error.code for error in told} == {"unreachable"}


def test_a_file_that_cannot_be_removed_stops_nothing(opened: Opening, stub: Stub, tmp_path: Path) -> None:
    stub.free.clear()
    client = opened(disk=tmp_path)
    client.track(ANNA, "one")
    until(lambda: bool(stub.asked), "a try is under way")
    (file,) = tmp_path.iterdir()
    file.unlink()
    file.mkdir()
    stub.free.set()
    assert client.flush()
    client.track(ANNA, "two")
    assert client.flush()
    assert names(stub) == ["one", "two"]


def test_what_a_full_disk_did_not_take_is_no_longer_called_kept(
    opened: Opening, stub: Stub, told: list[NextbestError], tmp_path: Path
) -> None:
    stub.free.clear()
    client = opened(disk=tmp_path)
    client.track(ANNA, "one")
    until(lambda: bool(stub.asked), "a try is under way")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "FileIO", Full)
        client.track(ANNA, "two")
    client.close()
    assert [error.code for error in told if error.code in ("disk", "not_sent")] == ["disk", "not_sent"]
    assert told[-1].message.startswith("1 events")


class Full(FileIO):
    """A file on a disk that has room for its name."""

    def write(self, _: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_process_that_exits_does_not_wait_for_a_server_that_trickles(stub: Stub) -> None:
    stub.trickles = True
    began_s = time.monotonic()
    run(
        """if True:
        import sys
        from nextbest_client import Client, Visitor
        assert Client(sys.argv[1], "pk").decide("hero", Visitor("a1"), timeout=0.3).error.code == "timeout"
        print("answered")""",
        stub.url,
    )
    assert time.monotonic() - began_s < 6, "the answer takes 15 s"


def test_what_json_has_no_word_for_is_written_as_everybody_reads_it(opened: Opening, stub: Stub) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
    an_id = UUID("12345678-1234-5678-1234-567812345678")
    client = opened()
    client.track(ANNA, "Paid", {"at": at, "price": Decimal("7.5"), "id": an_id, "tags": {"new"}}, timestamp=at)
    assert client.flush()
    (event,) = stub.events()
    assert event["timestamp"] == "2026-01-31T12:00:00+00:00"
    assert event["properties"] == {
        "at": "2026-01-31T12:00:00+00:00",
        "price": 7.5,
        "id": str(an_id),
        "tags": ["new"],
    }


def test_a_message_id_is_the_callers_however_it_is_written(opened: Opening, stub: Stub) -> None:
    client = opened()
    given = [client.track(ANNA, "x", message_id="m-1"), client.track(ANNA, "x", **cast(Any, {"messageId": "m-2"}))]
    assert client.flush()
    assert given == [event["messageId"] for event in stub.events()] == ["m-1", "m-2"]


def test_what_a_closed_client_is_asked_is_answered_by_the_default(opened: Opening) -> None:
    client = opened()
    client.close()
    answer = client.decide("hero", ANNA, default="welcome")
    assert answer.error is not None
    assert (answer["hero"].content, answer.error.code) == ("welcome", "closed")
