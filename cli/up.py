"""``nextbest up``: everything on this machine, under one supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import uvloop

from cli.children import api_part, metrics_ports, redis_part, worker_part
from cli.data_dir import UMASK, DataDir
from cli.http_probe import listening_socket, reachable
from cli.redis_memory import embedded_redis_bytes
from cli.running_file import RunningInstallation, kafka_access, remove_running
from cli.started import Started
from cli.supervisor import Supervisor
from config.development_keys import keys_problem
from config.settings import Settings, is_secret_set
from state.embedded import find_redis_server, shown_server, socket_in, socket_url

OF_ANOTHER_REDIS = ("NEXTBEST_REDIS_PASSWORD", "NEXTBEST_REDIS_PASSWORD_FILE")
"""Of no use to the embedded one: who reaches its socket is let in."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What ``up`` and ``demo --up`` are told."""

    port: int
    data_dir: Path
    catalog: Path | None
    api_processes: int
    workers: int


@click.command(short_help="Start everything on this machine: Redis, workers, API.")
@click.option("--port", type=click.IntRange(1, 65_535), default=None, help="Port of the API.  [default: 8700]")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where everything is kept.  [default: .nextbest]",
)
@click.option(
    "--catalog",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=None,
    help="Folder of catalog YAML, followed live.  [default: the example shop]",
)
@click.option("--api-processes", type=click.IntRange(1, 64), default=None, help="API processes.  [default: 1]")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Folder processes; more than one needs Kafka (NEXTBEST_KAFKA).",
)
def up(
    port: int | None, data_dir: Path | None, catalog: Path | None, api_processes: int | None, workers: int
) -> None:
    """Start Redis, folder, learner, projector and API, wait until all are ready, and keep them running.

    With NEXTBEST_REDIS or NEXTBEST_KAFKA set, those servers are used instead of an embedded Redis. Ctrl-C
    stops everything; what was learned is there again at the next start.
    """
    options = resolve(Settings.from_environment(), port, data_dir, catalog, api_processes, workers)

    async def session() -> None:
        async with running(options, say) as installation:
            from cli.first_steps import show_ready

            show_ready(installation)
            await asyncio.Event().wait()

    run_until_stopped(session())


def say(line: str) -> None:
    """One line for the person at the terminal, as long as there is one."""
    with contextlib.suppress(OSError):
        click.echo(f"{time.strftime('%H:%M:%S')} {line}")


def resolve(
    settings: Settings,
    port: int | None,
    data_dir: Path | None,
    catalog: Path | None,
    api_processes: int | None,
    workers: int,
) -> UpOptions:
    """The options, those not given taken from the environment's settings.

    Raises
    ------
    click.UsageError
        For several workers without Kafka.
    """
    if workers > 1 and not settings.kafka:
        raise click.UsageError(
            "--workers shares partitions among processes, which takes Kafka: set NEXTBEST_KAFKA=host:port, "
            "or leave it at 1"
        )
    return UpOptions(
        port=port or settings.port,
        data_dir=data_dir or Path(settings.data_dir),
        catalog=catalog or (Path(settings.catalog) if settings.catalog else None),
        api_processes=api_processes or settings.api_processes,
        workers=workers,
    )


def run_until_stopped(session: Coroutine[Any, Any, None]) -> None:
    """Run ``session``; Ctrl-C and SIGTERM cancel it, which stops all children in order; twice: at once.

    SIGUSR1, which is for API processes, is ignored: here it would end everything.
    """

    async def main() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        task = asyncio.ensure_future(session)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _on_signal, task)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


_asked_to_stop = False


def _on_signal(task: asyncio.Future[None]) -> None:
    global _asked_to_stop
    if _asked_to_stop:
        # Out of patience: leave now. The lifeline ends with this process, and every child with it.
        os._exit(130)
    _asked_to_stop = True
    task.cancel()


@contextlib.asynccontextmanager
async def running(
    options: UpOptions,
    say: Callable[[str], None],
    *,
    fresh: bool = False,
    more_environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Started]:
    """A whole installation, ready; stopped, in order, at the end.

    Parameters
    ----------
    say
        Takes a line for people.
    fresh
        Begin with an empty data folder.
    more_environment
        For the processes, beside what the options say.
    """
    began = time.monotonic()
    settings = Settings.from_environment()
    own_redis = not os.environ.get("NEXTBEST_REDIS", "")
    if settings.kafka or not own_redis:
        from installation.way_in import check_way_in  # loads all of Kafka's client

        await check_way_in(settings, redis=not own_redis)
    os.umask(UMASK)
    async with contextlib.AsyncExitStack() as stack:
        data_dir = DataDir(options.data_dir, say)
        stack.callback(data_dir.release)
        listening = stack.enter_context(contextlib.closing(listening_socket(settings.host, options.port)))
        if fresh:
            data_dir.empty()
        options = dataclasses.replace(options, port=listening.getsockname()[1])  # 0 meant: any free one
        supervisor = Supervisor(data_dir.logs, say, inherit=(data_dir.lock_fd,))
        ready = False
        try:
            environment = {
                "NEXTBEST_DATA_DIR": str(data_dir.path),
                **({} if is_secret_set(os.environ) else {"NEXTBEST_SECRET": data_dir.secret()}),
                **(more_environment or {}),
            }
            redis_url = str(settings.redis)
            redis_parts = []
            if own_redis:
                redis_socket = stack.enter_context(socket_in(data_dir.path / "redis"))
                redis_url = socket_url(redis_socket)
                environment |= {"NEXTBEST_REDIS": redis_url, **dict.fromkeys(OF_ANOTHER_REDIS, "")}
                redis_parts.append(redis_part(data_dir.path, redis_socket, embedded_redis_bytes(settings)))
                say(f"the log, states and models are kept by {shown_server(find_redis_server())}")
            namespace = environment.get("NEXTBEST_NAMESPACE", settings.namespace)
            inner = settings.metrics_host
            ports = metrics_ports(inner, options.port, options.workers, settings.metrics_port)
            api_environment = dict(environment)
            if options.api_processes > 1:
                # Processes that answer on one port add up their metrics through files, anew at each start.
                api_environment["PROMETHEUS_MULTIPROC_DIR"] = str(data_dir.fresh_folder("metrics"))

            # All at once: each loads for a second or two, and waits by itself for the servers and the catalog. They
            # stop in the reverse order: nothing is sent to workers that are gone, nor by them to a Redis that is.
            redis = await supervisor.spawn(*redis_parts)
            workers = await supervisor.spawn(
                *(worker_part("folder", n, environment, inner, ports[_folder(n)]) for n in range(options.workers)),
                worker_part("learner", 0, environment, inner, ports["learner"]),
                worker_part("projector", 0, environment, inner, ports["projector"]),
            )
            apis = await supervisor.spawn(
                *(
                    api_part(inner, listening, n, api_environment, None if n else ports["api"])
                    for n in range(options.api_processes)
                )
            )
            say(f"starting {', '.join((*redis, *workers, *apis))}")
            from cli.live_catalog import live_catalog  # loads while the others do
            from installation.audit import recorded

            await supervisor.until_ready(redis, say)
            url = f"http://{settings.host}:{options.port}"
            told = {name: (reachable(inner), port) for name, port in ports.items()}
            running = RunningInstallation(
                url, redis_url, settings.kafka, namespace, kafka_access(settings), inner=told
            )
            running.write(data_dir.path)
            memory = data_dir.path / "catalog-followed.json"
            refuses = functools.partial(keys_problem, settings)
            own = dataclasses.replace(settings, namespace=namespace, data_dir=str(data_dir.path))
            records = functools.partial(recorded, own)
            following = live_catalog(redis_url, namespace, options.catalog, say, memory, refuses, records)
            async with following as catalog:
                say(f"catalog version {catalog.version} is in force; waiting for {', '.join((*workers, *apis))}")
                await supervisor.until_ready((*workers, *apis), say)
                ready = True
                yield Started(
                    url=url,
                    catalog=catalog,
                    data_dir=data_dir.path,
                    log=f"Kafka at {settings.kafka}" if settings.kafka else "Redis Streams",
                    redis_url=redis_url,
                    metrics_host=reachable(inner),
                    metrics_ports=ports,
                    supervisor=supervisor,
                    started_in_s=time.monotonic() - began,
                )
        finally:
            remove_running(data_dir.path)
            await supervisor.stop()
            if ready:
                say(f"Stopped. What was learned is kept in {options.data_dir}.")


def _folder(number: int) -> str:
    return f"folder-{number}" if number else "folder"
