"""A worker's health port: what stops it from doing its work is 503, what is only not well is told beside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import cast

import httpx
from prometheus_client import Metric
from prometheus_client.registry import Collector

from stream.health import health_server
from stream.metrics import WorkerMetrics


async def test_readyz_tells_what_stops_the_worker_and_what_is_not_well() -> None:
    reason: str | None = None
    warnings: list[str] = []
    async with (
        health_server(WorkerMetrics("", "folder"), "127.0.0.1", 0, lambda: reason, lambda: warnings) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "warnings": []})
        warnings = ["Redis does not answer"]
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "warnings": warnings})
        reason = "9000 entries behind the log"
        answer = await client.get("/readyz")
        told = {"status": "waiting", "reason": reason, "warnings": warnings}
        assert (answer.status_code, answer.json()) == (503, told)
        assert (await client.get("/healthz")).status_code == 200


async def test_a_worker_without_warnings_need_not_say_so() -> None:
    async with (
        health_server(WorkerMetrics("", "folder"), "127.0.0.1", 0, lambda: None) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/readyz")).json() == {"status": "ready", "warnings": []}


async def test_no_page_may_read_it() -> None:
    async with (
        health_server(WorkerMetrics("", "folder"), "127.0.0.1", 0, lambda: None) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for path in ("/metrics", "/readyz", "/healthz"):
            page = await client.get(path, headers={"Origin": "https://evil.example"})
            rebound = {"Host": "evil.example:9700", "Accept-Language": "en"}
            by_name = await client.get(path, headers=rebound)
            assert (page.status_code, by_name.status_code) == (403, 421)
            assert "access-control-allow-origin" not in page.headers
            assert (await client.get(path, headers={"Host": "folder.shop.example"})).status_code == 200


async def test_a_worker_works_on_while_its_metrics_are_made() -> None:
    metrics, turned = WorkerMetrics("", "folder"), threading.Event()

    class Slow:
        def collect(self) -> Iterator[Metric]:
            assert turned.wait(20), "nothing else ran meanwhile"
            yield Metric("slow", "Takes long to be told", "gauge")

        def describe(self) -> list[Metric]:
            return []

    async with (
        health_server(metrics, "127.0.0.1", 0, lambda: None) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        metrics.registry.register(cast("Collector", Slow()))
        scrape = asyncio.create_task(client.get("/metrics"))
        assert (await client.get("/healthz")).status_code == 200
        assert not scrape.done()
        turned.set()
        assert "# TYPE slow gauge" in (await scrape).text
