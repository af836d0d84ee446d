"""A worker in a process of its own, for tests that kill, stop and compare workers.

It says what happens on one pipe, one JSON object a line, and obeys the lines of another.

- ``{"is": "assigned", "generation": 1, "partitions": 4}``
- ``{"is": "handled", "batch": [[partition, offset, key, value], …]}``: written before the acks
- ``{"is": "committed", "ok": false}``: the answer to ``commit PARTITION OFFSET GENERATION``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from eventlog.opening import open_log
from eventlog.topics import VISITOR_LOG, Topics
from stream.running import run_app, stop_signals
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import WorkerSettings, make_app
from tests.contract.eventlog.working import Read, handle_with


def run(arguments: list[str], commands: Connection, told: Connection) -> None:
    """The process: until SIGTERM."""
    asyncio.run(main(arguments, commands, told))


async def main(arguments: list[str], commands: Connection, told: Connection) -> None:
    def say(what: str, **fields: Any) -> None:
        os.write(told.fileno(), json.dumps({"is": what, **fields}).encode() + b"\n")

    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("prefix")
    parser.add_argument("--commit-interval-s", type=float, default=0.2)
    parser.add_argument("--never-commit", action="store_true")
    parser.add_argument("--start-at", type=int)
    args = parser.parse_args(arguments)
    log = open_log(args.url, Topics(args.prefix))
    identity = await log.identity()

    async def start_offsets(assigned: set[Any]) -> dict[Any, int]:
        return dict.fromkeys(assigned, args.start_at)

    app = make_app(
        "folder",
        log,
        identity,
        WorkerSettings(session_timeout_s=1.5, commit_interval_s=args.commit_interval_s),
        offset_policy=OffsetPolicy(
            start_offsets=None if args.start_at is None else start_offsets,
            commits_acked=not args.never_commit,
        ),
    )

    async def handle(read: Sequence[Read]) -> None:
        say("handled", batch=[list(each[:4]) for each in read], generation=app.lease_generation)

    handle_with(app, handle)

    @app.on_partitions_assigned.connect
    async def assigned(_: Any, tps: set[Any], **kwargs: Any) -> None:
        say("assigned", generation=app.lease_generation, partitions=len(tps))

    async def obey() -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(os.dup(commands.fileno()), "rb", buffering=0)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        while line := await reader.readline():
            _, partition, offset, generation = line.split()
            ok = await app.commit_offsets({app.tp(VISITOR_LOG, int(partition)): int(offset)}, int(generation))
            say("committed", ok=ok)

    obeying = asyncio.create_task(obey())
    try:
        with stop_signals() as stop:
            await run_app(app, stop)
        say("stopped")
    finally:
        obeying.cancel()
        await log.close()
