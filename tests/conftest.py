"""Fixtures every test may ask for: the servers."""

from __future__ import annotations

from tests.servers import kafka_server, namespace, redis_server, redis_url

__all__ = ["kafka_server", "namespace", "redis_server", "redis_url"]
