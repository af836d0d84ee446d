"""Connections to Kafka: one idempotent producer kept, readers and admin clients as needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from eventlog.kafka_security import PLAINTEXT, KafkaSecurity, why_shut_out
from personalization.errors import InvalidInput, ShutOut, Unavailable

MAX_BATCH_BYTES = 256 * 1024
"""aiokafka's default of 16 KiB is a dozen decision records."""

LOOK_S = 2.0
"""For a look at why no broker lets us in, beside the request that failed."""

CLOSE_S = 2.0
"""For connections to be closed; one that hangs is left to the operating system."""


class KafkaConnection:
    """Who talks to the brokers.

    Parameters
    ----------
    servers
        ``host:port`` of one or more brokers, separated by commas.
    timeout_s
        Of one request.
    linger_ms
        How long records wait for company in the producer.
    security
        How brokers are spoken to.
    """

    def __init__(self, servers: str, timeout_s: float, linger_ms: int, security: KafkaSecurity = PLAINTEXT) -> None:
        self.servers = servers
        self.security = security
        self.timeout_s = timeout_s
        self.linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        """Whether there is a producer now."""
        return self._producer is not None

    async def producer(self) -> Any:
        """The producer, connected.

        Raises
        ------
        Unavailable
            If no broker answers.
        """
        if self._producer is None:
            await self.client()
        return self._producer

    async def client(self) -> Any:
        """The producer's client, connected; raises as ``producer``."""
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self.servers,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=self.linger_ms,
                    max_batch_size=MAX_BATCH_BYTES,
                    request_timeout_ms=int(self.timeout_s * 1000),
                    **self.security.options(),
                )
                try:
                    await producer.start()
                except BaseException as error:
                    with contextlib.suppress(Exception):
                        await producer.stop()
                    if isinstance(error, KafkaError | OSError):
                        raise await self._unavailable(error) from error
                    raise
                self._producer = producer
            return self._producer.client

    async def _unavailable(self, error: BaseException) -> Unavailable:
        if problem := await why_shut_out(self.servers, self.security, min(self.timeout_s, LOOK_S)):
            return ShutOut(problem)
        return Unavailable(f"Kafka does not answer at {self.servers}: {error}")

    async def drop(self) -> None:
        """Disconnect the producer; the next who needs one connects anew.

        What it has not delivered yet is given up. ``stop`` alone would wait for it, for ever if need be, and one
        that is told to stop waiting goes on delivering: behind everything that was appended meanwhile.
        """
        producer, self._producer = self._producer, None
        if producer is not None:
            # To its end, though who asked for it is cancelled: half disconnected it would live on.
            leaving = asyncio.create_task(self._let_go(producer))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _let_go(self, producer: Any) -> None:
        sender = producer._sender.sender_task
        if sender is not None:
            sender.cancel()  # takes no more batches; first it waits for its requests, hence:
            await asyncio.sleep(0)
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.client.close(), CLOSE_S)
        loop = asyncio.get_running_loop()
        until = loop.time() + CLOSE_S
        while sender is not None and not sender.done() and loop.time() < until:
            await asyncio.wait({sender}, timeout=0.02)
            # A request that failed wants to know the leader, which a closed client asks nobody for.
            update, producer.client._md_update_fut = producer.client._md_update_fut, None
            if update is not None and not update.done():
                update.set_result(False)
        batches = producer._message_accumulator
        batches._batches.clear()  # else `stop` waits for them
        batches._pending_batches.clear()
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            await asyncio.wait_for(producer.stop(), CLOSE_S)

    @contextlib.asynccontextmanager
    async def reader(self) -> AsyncIterator[Any]:
        """A consumer of no group, for as long as the block runs."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            request_timeout_ms=int(self.timeout_s * 1000),
            **self.security.options(),
        )
        try:
            await consumer.start()
            yield consumer
        except (KafkaError, OSError) as error:
            raise foreign(error) from error
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        """An admin client, for as long as the block runs."""
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.servers,
            request_timeout_ms=int(self.timeout_s * 1000),
            **self.security.options(),
        )
        try:
            await admin.start()
            yield admin
        except (KafkaError, OSError) as error:
            raise foreign(error) from error
        finally:
            await admin.close()


def foreign(error: BaseException) -> Exception:
    """Kafka's error as one of ours."""
    if isinstance(error, Unavailable | InvalidInput):
        return error
    if isinstance(error, MessageSizeTooLargeError):
        return InvalidInput("value", f"larger than the log takes: {error}", code="too_large")
    return Unavailable(f"Kafka: {type(error).__name__} {error}".rstrip())
