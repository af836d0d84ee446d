"""How a process is, its inner listener tells alone; what everybody reaches is the API alone."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from api.app import Application
from api.http.inner import inner_listener
from personalization.errors import Refused
from tests.of_type import of_type
from tests.unit.api.site import WRITE, Site


def inner_of(site: Site) -> httpx.ASGITransport:
    app = of_type(Application, of_type(httpx.ASGITransport, site.client._transport).app)
    return httpx.ASGITransport(app=app.inner)  # type: ignore[arg-type]  # it runs


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
@pytest.mark.parametrize("headers", [{}, WRITE])
async def test_what_everybody_reaches_tells_nothing_of_the_process(
    site: Site, path: str, headers: dict[str, str]
) -> None:
    answer = await site.client.get(path, headers=headers)
    assert answer.status_code == 404
    assert "nextbest_" not in answer.text
    assert "missing" not in answer.text
    assert (await site.client.get(f"http://inner{path}")).status_code == 200
    assert (await site.client.get("/healthz")).json() == {"status": "ok"}, "for load balancers"


@pytest.mark.parametrize("path", ["/v1/events", "/v1/decide", "/ofrep/v1/evaluate/flags"])
async def test_the_inner_listener_is_no_way_around_the_door(site: Site, path: str) -> None:
    answer = await site.client.post(f"http://inner{path}", json={"type": "page", "anonymousId": "a"}, headers=WRITE)
    assert answer.status_code == 404
    assert not site.log.records


async def test_it_listens_where_it_is_told_to_and_nowhere_else(site: Site) -> None:
    async with inner_listener(inner_of(site).app, "127.0.0.1", 0) as port, httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert b"nextbest_" in answer.content
        assert (await client.get(f"http://127.0.0.1:{port}/readyz")).json()["status"] == "ready"
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.2:{port}/readyz")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/healthz", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_page_may_read_it(site: Site, path: str, method: str) -> None:
    def cors(answer: httpx.Response) -> list[str]:
        return [name for name in answer.headers if name.startswith("access-control-")]

    own = await site.client.request(method, f"http://inner{path}")
    page = await site.client.request(method, f"http://inner{path}", headers={"Origin": "https://evil.example"})
    rebound = {"Host": "evil.example:9700", "Accept-Language": "en"}
    by_name = await site.client.request(method, f"http://inner{path}", headers=rebound)
    assert [cors(each) for each in (own, page, by_name)] == [[], [], []]
    assert (page.status_code, by_name.status_code) == (403, 421)
    assert own.status_code not in (403, 421)
    assert "nextbest_" not in page.text + by_name.text


async def test_a_port_that_is_taken_is_said_with_its_remedy(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Refused, match="NEXTBEST_METRICS_PORT"):
            async with inner_listener(inner_of(site).app, "127.0.0.1", taken.getsockname()[1]):
                pass


async def test_processes_that_share_the_port_each_listen_on_it(site: Site) -> None:
    app = inner_of(site).app
    async with (
        inner_listener(app, "127.0.0.1", 0, shared=True) as port,
        inner_listener(app, "127.0.0.1", port, shared=True) as same,
    ):
        assert same == port
