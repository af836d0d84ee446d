"""What an answer consists of leaves together; nothing is kept back for longer than a turn of the loop."""

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
    return written, JoinedWrites(cast(asyncio.Transport, written), asyncio.get_running_loop())


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def test_head_and_body_are_one_write() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.write(b"{}")
    assert written.writes == []
    await asyncio.sleep(0)
    assert written.writes == [HEAD + b"{}"]


async def test_what_is_written_in_a_later_turn_is_a_write_of_its_own() -> None:
    written, transport = joined()
    for part in (HEAD, b"a", b"b"):
        transport.write(part)
        await asyncio.sleep(0)
    assert written.writes == [HEAD, b"a", b"b"]


async def test_nothing_is_written_twice() -> None:
    written, transport = joined()
    for body in (b"{}", b"[]"):
        transport.write(HEAD)
        transport.write(body)
        transport.flush()
    await asyncio.sleep(0)
    assert written.writes == [HEAD + b"{}", HEAD + b"[]"]


async def test_closing_sends_first() -> None:
    written, transport = joined()
    transport.write(HEAD)
    transport.close()
    assert written.writes == [HEAD]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert written.writes == [HEAD]


async def test_nothing_is_sent_to_a_client_that_left() -> None:
    written, transport = joined()
    transport.write(HEAD)
    written.closed = True
    await asyncio.sleep(0)
    assert written.writes == []
