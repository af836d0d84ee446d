"""What somebody without a key may do to a server, each in a process of its own, at nice 10.

``python -P -m tests.integration.attacks NAME PORT`` attacks until the server has closed what it should, or a line
comes on standard input, and prints as JSON what it was answered.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable

BOUND_S = 40.0
ATTACK_S = 1.5
"""How long a quick attack is repeated."""
_MAPS = b'{"visitor":{"anonymousId":"a1"},"placements":["hero"],"context":{"page":{"path":"/x"},"a":[%s]}}'


def status_of(answer: bytes) -> str:
    """The status of the first answer, ``closed`` where there is none."""
    return answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "closed"


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.socket()
    connection.settimeout(BOUND_S)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", port))
    return connection


def send_until_closed(connection: socket.socket, piece: bytes, pause_s: float = 0.0) -> bytes:
    """Send ``piece`` again and again, and give what came until the server closed."""
    received = b""
    end = time.monotonic() + BOUND_S
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < end:
            readable, writable, _ = select.select([connection], [connection], [], 0.05)
            if readable:
                came = connection.recv(65536)
                if not came:
                    return received
                received += came
            elif writable:
                connection.send(piece)
                time.sleep(pause_s)
    if time.monotonic() >= end:
        return b"HTTP/1.1 000 never closed"
    return received


def _again_and_again(attack: Callable[[], str]) -> Counter[str]:
    found: Counter[str] = Counter()
    end = time.monotonic() + ATTACK_S
    while time.monotonic() < end:
        found[attack()] += 1
    return found


def _once(port: int, begin: bytes, piece: bytes, pause_s: float = 0.0) -> str:
    with connect(port) as connection:
        connection.sendall(begin)
        return status_of(send_until_closed(connection, piece, pause_s))


def endless_header(port: int) -> Counter[str]:
    return _again_and_again(lambda: _once(port, b"GET /healthz HTTP/1.1\r\nx-endless: ", b"x" * 65536))


def endless_headers(port: int) -> Counter[str]:
    return _again_and_again(lambda: _once(port, b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n" * 10_000))


def endless_target(port: int) -> Counter[str]:
    return _again_and_again(lambda: _once(port, b"GET /", b"x" * 65536))


def endless_trailer(port: int) -> Counter[str]:
    begin = b"POST /v1/events HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-endless: "
    return _again_and_again(lambda: _once(port, begin, b"x" * 65536))


def slow_head(port: int) -> Counter[str]:
    return Counter([_once(port, b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n", 0.5)])


def slow_body(port: int) -> Counter[str]:
    begin = b"POST /v1/events HTTP/1.1\r\nauthorization: Bearer pk_dev\r\ncontent-length: 100000\r\n\r\n{"
    return Counter([_once(port, begin, b" ", 0.5)])


def silent(port: int) -> Counter[str]:
    with connect(port) as connection:
        return Counter([status_of(connection.recv(4096))])


def pipelined(port: int) -> Counter[str]:
    """Ask on and on, and read no answer."""
    asked = b"GET /healthz HTTP/1.1\r\n\r\n" * 10_000

    def once() -> str:
        with connect(port) as connection:
            connection.settimeout(1)
            end = time.monotonic() + 1
            try:
                while time.monotonic() < end:
                    connection.sendall(asked)
            except TimeoutError:
                return "held up"
            except ConnectionError:
                return "closed"
        return "never closed"

    return _again_and_again(once)


def withheld(port: int) -> Counter[str]:
    """60 large bodies that lack their last byte."""
    head = b"POST /v1/events HTTP/1.1\r\nauthorization: Bearer pk_dev\r\ncontent-length: 4000000\r\n\r\n"
    held = []
    for _ in range(60):
        connection = connect(port)
        with contextlib.suppress(ConnectionError):
            connection.sendall(head + b" " * 3_999_999)
        held.append(connection)
    print(json.dumps({"held": len(held)}), flush=True)
    sys.stdin.readline()
    return Counter()


def half_open(port: int) -> Counter[str]:
    """1,200 connections from eight addresses that say half a request, and hold on until told to stop."""
    held = []
    for at in range(1_200):
        with contextlib.suppress(OSError):
            connection = connect(port, f"127.0.1.{at % 8 + 1}")
            connection.sendall(b"GET /healthz HT")
            held.append(connection)
    print(json.dumps({"held": len(held)}), flush=True)
    sys.stdin.readline()
    return Counter()


def one_address(port: int) -> Counter[str]:
    """As many connections as one address may have, and half as many again, each with a request under way."""
    held = []
    found: Counter[str] = Counter()
    for _ in range(384):
        connection = connect(port, "127.0.2.1")
        with contextlib.suppress(ConnectionError):
            connection.sendall(
                b"POST /v1/decide HTTP/1.1\r\nauthorization: Bearer pk_dev\r\ncontent-length: 100000\r\n\r\n"
            )
        held.append(connection)
    print(json.dumps({"held": len(held)}), flush=True)
    sys.stdin.readline()
    for connection in held:
        connection.setblocking(False)
        try:
            found[status_of(connection.recv(4096))] += 1
        except BlockingIOError:
            found["waits"] += 1
        except ConnectionError:
            found["closed"] += 1
    return found


def _post(port: int, path: bytes, body: bytes, key: bytes = b"pk_dev") -> str:
    with connect(port) as connection:
        head = b"POST %s HTTP/1.1\r\nauthorization: Bearer %s\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        connection.sendall(head % (path, key, len(body)) + body)
        received = b""
        with contextlib.suppress(ConnectionError):
            while came := connection.recv(65536):
                received += came
        return status_of(received)


def expanding(port: int) -> Counter[str]:
    body = gzip.compress(b'{"events":[' + b" " * 4_000_000 + b"]}")
    return _again_and_again(lambda: _post(port, b"/v1/events", body))


def many_values(port: int) -> Counter[str]:
    """A context of 80,000 maps, in 2 KB; and one that just passes as a body."""
    bodies = [gzip.compress(_MAPS % b",".join([b"{}"] * 80_000)), _MAPS % b",".join([b"{}"] * 80_000)]
    return _again_and_again(lambda: ", ".join(_post(port, b"/v1/decide", body) for body in bodies))


def _batches(port: int, bodies: list[bytes], path: bytes = b"/v1/events", key: bytes = b"pk_dev") -> Counter[str]:
    """Large bodies, one as soon as the one before is answered."""
    found: Counter[str] = Counter()
    end = time.monotonic() + ATTACK_S
    while time.monotonic() < end:
        for body in bodies:
            found[_post(port, path, body, key)] += 1
    return found


def large_batches(port: int) -> Counter[str]:
    """2,000 events of 1.9 KB, 3.9 MB: every second one is nobody's, and told so."""
    events = [
        b'{"type":"track","event":"Viewed","anonymousId":"%s","messageId":"%s","properties":{"x":"%s"}}'
        % (b"0" if n % 2 else b"batch%d" % n, os.urandom(8).hex().encode(), b"x" * 1_840)
        for n in range(2_000)
    ]
    return _batches(port, [b'{"events":[' + b",".join(events) + b"]}"])


def many_parts(port: int) -> Counter[str]:
    """4 MB of numbers where events should be; of members; of events that are long and wrong."""
    wrong = b'{"type":"x","properties":{"a":[' + b"1," * 8_000 + b"1]}}"
    return _batches(
        port,
        [
            b'{"events":[' + b"1," * 2_000_000 + b"1]}",
            b"{" + b",".join(b'"%d":1' % n for n in range(350_000)) + b"}",
            b'{"events":[' + b",".join([wrong] * 200) + b"]}",
            b'{"events":["' + b"\\n" * 1_300_000 + b'"]}',
        ],
    )


def nested_items(port: int) -> Counter[str]:
    """20 items whose bodies are 28 KB of maps in lists."""
    body = b"[" + b",".join([b'[{"a":[1]}]'] * 2_300) + b"]"
    items = b",".join(b'{"id":"nested%d","body":%s}' % (n, body) for n in range(20))
    return _batches(port, [b'{"items":[' + items + b"]}"], b"/v1/content", b"sk_dev")


ATTACKS: dict[str, Callable[[int], Counter[str]]] = {
    each.__name__: each
    for each in (
        *(endless_header, endless_headers, endless_target, endless_trailer, slow_head, slow_body, silent),
        *(pipelined, withheld, half_open, one_address, expanding, many_values),
        *(large_batches, many_parts, nested_items),
    )
}

if __name__ == "__main__":
    os.nice(10)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    print(json.dumps(ATTACKS[sys.argv[1]](int(sys.argv[2]))), flush=True)
