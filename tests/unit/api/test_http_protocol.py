"""What an answer consists of leaves together; nothing is kept back once it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from api.http.door import Door
from api.http.http_protocol import JoinedWrites


class Written:
    """A transport that remembers its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Turns:
    """What a loop would call in its next turn."""

    def __init__(self) -> None:
        self._soon: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def turn(self) -> None:
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()


class AtWork:
    """A door with so many connections at work."""

    def __init__(self, n_at_work: int) -> None:
        self.n_at_work = n_at_work


def joined(n_at_work: int = 1, loop: Turns | None = None) -> tuple[Written, Any]:
    written = Written()
    door, turns = cast(Door, AtWork(n_at_work)), cast(asyncio.AbstractEventLoop, loop or Turns())
    return written, JoinedWrites(cast(asyncio.Transport, written), door, turns)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


def test_head_and_body_are_one_write() -> None:
    written, transport = joined()
    transport.write(HEAD)
    assert written.writes == []
    transport.write(b"{}")
    assert written.writes == [HEAD + b"{}"]


def test_what_follows_is_a_write_of_its_own() -> None:
    written, transport = joined()
    for part in (HEAD, b"a", b"b"):
        transport.write(part)
    assert written.writes == [HEAD + b"a", b"b"]


def test_an_answer_without_a_body_leaves_once_it_is_whole() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.leave()
    transport.leave()
    assert written.writes == [HEAD]


def test_answers_to_requests_that_are_under_way_together_leave_together() -> None:
    loop = Turns()
    answers = [joined(2, loop), joined(2, loop)]
    for _, transport in answers:
        transport.write(HEAD)
        transport.write(b"{}")
        transport.leave()
    assert [written.writes for written, _ in answers] == [[], []]
    loop.turn()
    assert [written.writes for written, _ in answers] == [[HEAD + b"{}"]] * 2
    loop.turn()
    assert [written.writes for written, _ in answers] == [[HEAD + b"{}"]] * 2


def test_what_waits_for_the_next_turn_leaves_before_its_connection_is_closed() -> None:
    loop = Turns()
    written, transport = joined(2, loop)
    transport.write(HEAD)
    transport.write(b"{}")
    transport.close()
    loop.turn()
    assert written.writes == [HEAD + b"{}"]
    assert transport.is_closing()


def test_a_client_that_waits_to_be_told_to_go_on_is_told_at_once() -> None:
    written, transport = joined()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert written.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_closing_sends_first() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.close()
    assert written.writes == [HEAD]
    assert transport.is_closing()


def test_nothing_is_sent_to_a_client_that_left() -> None:
    written, transport = joined()
    transport.write(HEAD)
    written.closed = True
    transport.flush()
    assert written.writes == []
