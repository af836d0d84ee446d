"""Head and body leave together; nothing is kept back for longer than a turn of the loop."""

from __future__ import annotations

import asyncio
from typing import Any

from api.http_protocol import JoinedWrites


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
    return written, JoinedWrites(written, asyncio.get_running_loop())  # type: ignore[arg-type]


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def test_head_and_body_are_one_write() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.write(b"{}")
    await asyncio.sleep(0)
    assert written.writes == [HEAD + b"{}"]


async def test_the_second_answer_is_joined_too() -> None:
    written, transport = joined()
    for body in (b"{}", b"[]"):
        transport.write(HEAD)
        transport.write(body)
    await asyncio.sleep(0)
    assert written.writes == [HEAD + b"{}", HEAD + b"[]"]


async def test_a_head_alone_leaves_with_the_next_turn_of_the_loop() -> None:
    written, transport = joined()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert written.writes == []
    await asyncio.sleep(0)
    assert written.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def test_chunks_of_a_body_are_not_kept_back() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.write(b"a")
    transport.write(b"b")
    assert written.writes == [HEAD + b"a", b"b"]


async def test_closing_sends_first() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.close()
    assert written.writes == [HEAD]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert written.writes == [HEAD]
