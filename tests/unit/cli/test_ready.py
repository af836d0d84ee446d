"""A container is ready when its own inner port says so; without one to ask, it is said what is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from cli.ready import ready


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port whose ``/readyz`` answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1)])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_it_says_what_the_process_says(status: int, exit_code: int, host: str) -> None:
    with answering(status) as port:
        environment = {"NEXTBEST_METRICS_PORT": str(port), "NEXTBEST_METRICS_HOST": host}
        assert CliRunner().invoke(ready, env=environment).exit_code == exit_code


def test_without_a_port_to_ask_the_remedy_is_told() -> None:
    result = CliRunner().invoke(ready, env={"NEXTBEST_METRICS_PORT": None})
    assert result.exit_code == 2
    assert "set NEXTBEST_METRICS_PORT" in result.output
