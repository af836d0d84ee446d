"""A server that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BOUND_S = 20.0


@dataclass
class Asked:
    """One request."""

    path: str
    body: Any
    n_bytes: int
    at_s: float
    status: int = 0


@dataclass
class Stub:
    """Answers ``script`` one by one, and then what fits each path; with none of it before it is ``free`` to."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    script: deque[tuple[int, dict[str, str], bytes]] = field(default_factory=deque)
    free: threading.Event = field(default_factory=threading.Event)
    trickles: bool = False
    hangs_up: bool = False
    refuses: Callable[[list[dict[str, Any]]], tuple[int, Any] | None] = lambda _events: None

    def then(self, status: int, body: Any = None, **headers: str) -> Stub:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.script.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, text))
        return self

    def to(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path == path]

    def taken(self) -> list[dict[str, Any]]:
        """The events of requests that were not refused."""
        return [event for each in self.to("/v1/events") if each.status == 200 for event in each.body["events"]]

    def events(self) -> list[dict[str, Any]]:
        return [event for each in self.to("/v1/events") for event in each.body["events"]]


_TOLD = {"/v1/events": "events", "/v1/exposures": "decisionIds", "/v1/rewards": "rewards"}


def fitting(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    answer: Any
    if path in _TOLD:
        answer = {"accepted": len(body[_TOLD[path]]), "rejected": [], "warnings": []}
    elif path == "/v1/decide":
        names = [each if isinstance(each, str) else each["placement"] for each in body["placements"]]
        answer = {
            "requestId": body["requestId"],
            "decisions": [decision(name) for name in names],
            "stateAgeMs": 7,
            "stateRevision": 41,
            "modelAgeMs": None,
            "catalogVersion": 12,
            "warnings": [],
        }
    else:
        return 404, {}, json.dumps({"code": "not_found", "message": f"there is nothing at {path}"}).encode()
    return 200, {}, json.dumps(answer).encode()


def decision(placement: str) -> dict[str, Any]:
    return {
        "placement": placement,
        "slot": 0,
        "decisionId": "d-1",
        "contentId": "red",
        "content": {"type": "html", "html": "<p>red</p>"},
        "probability": 0.5,
        "policy": "default",
        "tier": "personalised",
        "reason": "drawn",
        "holdout": False,
        "variant": None,
    }


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    """A stub that listens."""
    stub = Stub()
    stub.free.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(text)
            asked = Asked(self.path, body, len(text), time.monotonic())
            stub.asked.append(asked)
            stub.free.wait(BOUND_S)
            refused = stub.refuses(body.get("events", []))
            if refused is not None:
                stub.then(*refused)
            status, headers, answer = stub.script.popleft() if stub.script else fitting(self.path, body)
            asked.status = status
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            if stub.trickles:
                self._trickle(answer)
            else:
                self.wfile.write(answer)
            self.close_connection = stub.hangs_up

        def _trickle(self, answer: bytes) -> None:
            stopped = threading.Event()
            for n in range(len(answer)):
                try:
                    self.wfile.write(answer[n : n + 1])
                except OSError:
                    return
                stopped.wait(0.05)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:  # a caller that did not wait for its answer
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        stub.free.set()
        stub.trickles = False
        server.shutdown()
        thread.join()
        server.server_close()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end, f"not within {BOUND_S:g} s: {what}"
        time.sleep(0.01)
