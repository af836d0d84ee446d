"""What an answer consists of leaves together; nothing is kept back once it is whole."""

from __future__ import annotations

import asyncio
from typing import Any, cast

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


def joined() -> tuple[Written, Any]:
    written = Written()
    return written, JoinedWrites(cast(asyncio.Transport, written))


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
    transport.flush()
    transport.flush()
    assert written.writes == [HEAD]


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
