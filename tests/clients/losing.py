"""A server in between: it passes on what clients send, keeps it to be sent again, and may lose answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True)
class Asked:
    """One POST as a client sent it."""

    target: str
    path: str
    headers: dict[str, str]
    body: bytes

    def send(self) -> tuple[int, bytes]:
        """Send the very same again: a client's retry after it lost the answer."""
        status, _, answer = _answer("POST", self.target, self.path, self.headers, self.body)
        return status, answer


@dataclass
class Losing:
    """What it saw of POSTs, and how many of their answers it still loses.

    Attributes
    ----------
    to_lose
        So many of the next answers are 503.
    asked, statuses
        Each in order, and what was really answered.
    """

    url: str = ""
    to_lose: int = 0
    asked: list[Asked] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)


@contextmanager
def losing(target: str, to_lose: int = 0) -> Iterator[Losing]:
    """Stands before the server at ``target``, and loses its first answers."""
    seen = Losing(to_lose=to_lose)

    class Between(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            asked = Asked(target, self.path, dict(self.headers), body)
            status, headers, answer = _answer("POST", target, self.path, asked.headers, body)
            seen.asked.append(asked)
            seen.statuses.append(status)
            if seen.to_lose:
                seen.to_lose -= 1
                status, answer = 503, b'{"code":"lost","message":"on purpose"}'
            self._reply(status, headers, answer)

        def do_GET(self) -> None:
            self._reply(*_answer(self.command, target, self.path, dict(self.headers)))

        do_OPTIONS = do_GET

        def _reply(self, status: int, headers: dict[str, str], answer: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(
    method: str, target: str, path: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    kept = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_CONNECTION}
    connection = http.client.HTTPConnection(urlsplit(target).netloc, timeout=10)
    try:
        connection.request(method, path, body, kept)
        answer = connection.getresponse()
        shown = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_THE_CONNECTION}
        return answer.status, shown, answer.read()
    finally:
        connection.close()
