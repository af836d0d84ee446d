"""``nextbest replay --rebuild``: what was stored is there again, byte for byte, and the workers go on from it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from cli.epoch import epoch
from cli.replay import replay
from eventlog.port import Record
from eventlog.redis_keys import entry_id, partition_keys
from eventlog.topics import OUTCOMES, VISITOR_LOG
from installation.opened import open_installation
from installation.secrets_of import secrets_of
from online_models.placement_model import PlacementModel
from operations.replay.base import read_head
from operations.replay.stopped import workers_stopped
from personalization.errors import Refused
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import DecisionMade
from personalization.events.outcome import Outcome
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import decode_folder
from personalization.visitor.visitor_key import anonymous_key
from personalization.visitor.visitor_state import VisitorState
from state.checkpoint_store import HEADERS
from state.model_store import read_model
from state.timers import N_BUCKETS, bucket_of
from state.visitor_store import pack_visitor
from tests.integration.crashing import System, Worker, settings_of, until
from tests.integration.oracle import differences, learn_all

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LOGS = [
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("kafka", marks=[pytest.mark.redis, pytest.mark.kafka]),
]
STRANGER = anonymous_key("nobody-knows-me")
PATIENT = anonymous_key("patient")


@pytest.fixture
async def system(
    request: pytest.FixtureRequest, redis_server: Any, namespace: str, tmp_path: Path
) -> AsyncIterator[System]:
    kafka = request.getfixturevalue("kafka_server") if getattr(request, "param", "redis") == "kafka" else ""
    async with System(settings_of(kafka, redis_server.url, namespace), tmp_path, seed=41) as found:
        yield found


async def run(system: System, *arguments: str) -> dict[str, Any]:
    """The command, as a process of its own would run it."""
    environment = {"NEXTBEST_KAFKA": "", **system.environment}
    result = await asyncio.to_thread(CliRunner().invoke, replay, [*arguments, "--json"], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def wait_long(system: System) -> None:
    """A visitor whose decision stays open: of a placement that the catalog does not know, for half an hour."""
    now_ms = time.time_ns() // 1_000_000
    made = DecisionMade(
        choice=Choice("d", "gone", 0, "red", 2**31, catalog_version=system.catalog.version), message_id="m"
    )
    entry = Entry(received_at_ms=now_ms, occurred_at_ms=now_ms, catalog_version=system.catalog.version, event=made)
    await system.log.append([Record(VISITOR_LOG, PATIENT, encode_entry(entry))])


async def worked(system: System, n_bursts: int = 3) -> list[Worker]:
    """Folder and learner have worked on some bursts, the last of which is still on its way."""
    workers = [system.start("folder"), system.start("learner")]
    for _ in range(n_bursts):
        await system.burst()
    await system.settle(learner=True)
    await system.burst()
    return workers


def stop(workers: list[Worker]) -> None:
    for worker in workers:
        assert worker.stop() == 0, worker.output()


async def states(system: System) -> dict[bytes, bytes]:
    """Every state as it is stored, by the name of its key."""
    found = {}
    for kind in ("visitor", "folder"):
        async for name in system.redis.scan_iter(match=f"{system.keys.namespace}:{kind}:*", count=1000):
            found[name] = cast(bytes, await system.redis.get(name))
    return found


async def ruin(system: System) -> None:
    """A state is altered, one is lost, one is nobody's; all timers are gone."""
    stored = await states(system)
    first, second, *_ = sorted(name for name in stored if b":visitor:" in name)
    await system.redis.set(first, stored[first][:-1] + b"?")
    await system.redis.delete(second, second.replace(b":visitor:", b":folder:"))
    await system.redis.set(system.keys.visitor(STRANGER), pack_visitor(VisitorState(1, 7)))
    await system.redis.delete(*(system.keys.timers(bucket) for bucket in range(N_BUCKETS)))


async def timers_of(system: System, key: str) -> list[int]:
    due = cast(
        list[tuple[bytes, float]],
        await system.redis.zrange(system.keys.timers(bucket_of(key)), 0, -1, withscores=True),
    )
    return [int(score) for member, score in due if member.endswith(key.encode())]


def dumps(books: dict[str, Any]) -> dict[str, Any]:
    found = {name: book.dump() for name, book in books.items()}
    for name, book in books.items():
        if isinstance(book, PlacementModel):
            del found[name]["spec"]  # the same, however it is spelt
    return found


@pytest.mark.parametrize("system", LOGS, indirect=True)
async def test_a_rebuild_gives_what_was_there_and_workers_go_on(system: System) -> None:
    await wait_long(system)
    workers = await worked(system)
    stop(workers)
    committed = sum(offset or 0 for offset in await system.log.committed_offsets("folder", VISITOR_LOG))
    before = await states(system)
    await ruin(system)
    await system.redis.delete(*[system.keys.checkpoint(p, which) for p in range(4) for which in HEADERS])

    report = await run(system, "--rebuild")

    assert await states(system) == before
    folder = decode_folder(before[system.keys.folder(PATIENT).encode()])
    assert folder.kept is not None
    assert set(await timers_of(system, PATIENT)) == {folder.kept.due_ms, *(each.due_ms for each in folder.open)}
    assert report["states"]["removed"] == 1
    assert report["states"]["entries"] == committed
    expected = await learn_all(system.log, system.catalog)
    assert report["models"]["learned"] == {name: model.n_learned for name, model in expected.items()}
    assert dumps(await system.learned()) == dumps(expected)
    for name, model in expected.items():
        if not isinstance(model, PlacementModel):
            continue
        published = await read_model(system.redis, system.keys, name, secrets_of(system.settings).key("models"))
        assert published is not None
        assert published.snapshot.encode().arms == model.snapshot().encode().arms

    # The workers take over, close what is open, and nothing is lost or counted twice.
    workers = await worked(system, n_bursts=1)
    await system.settle(learner=True)
    stop(workers)
    assert await differences(system.redis, system.keys, system.log, system.catalog) == [f"{PATIENT}: still open"]
    assert dumps(await system.learned()) == dumps(await learn_all(system.log, system.catalog))


@pytest.mark.parametrize("system", LOGS, indirect=True)
async def test_a_rebuild_waits_for_nobody_who_works(system: System) -> None:
    workers = [system.start("folder"), system.start("learner")]
    await system.burst()
    await system.settle(learner=True)
    for options, role in ((["--states"], "folder"), (["--models"], "learner")):
        with pytest.raises(Refused, match=f"a {role} is at work .*: stop it and try again"):
            await run(system, "--rebuild", *options)
    stop([worker for worker in workers if worker.role == "folder"])
    assert "models" not in await run(system, "--rebuild", "--states"), "the learner may go on learning meanwhile"
    stop([worker for worker in workers if worker.role == "learner"])


@pytest.mark.redis
async def test_a_worker_that_starts_meanwhile_waits_for_the_lease(system: System) -> None:
    async with open_installation(system.settings) as parts, workers_stopped(parts, ["folder"]):
        folder = system.start("folder")
        await system.burst()
        await until(lambda: _said(folder, "[^-Consumer]: Starting"), "the folder stands by", 20)
        assert await system.log.committed_offsets("folder", VISITOR_LOG) == [None] * 4
    await system.settle()
    stop([folder])


async def _said(worker: Worker, text: str) -> bool:
    return text in worker.output()


async def trim(system: System, topic: str, offsets: dict[int, int]) -> None:
    """As age or bytes would: entries below ``offsets`` are gone."""
    on_server = system.log.topics.on_server(topic, 1)
    for partition, offset in offsets.items():
        keys = partition_keys(on_server, partition)
        await system.redis.xtrim(keys.stream, minid=entry_id(offset), approximate=False)
        await system.redis.delete(keys.segments)
        await cast("Any", system.redis.rpush(keys.segments, f"{offset} 0 0"))


@pytest.mark.redis
async def test_a_trimmed_log_needs_a_base(system: System, tmp_path: Path) -> None:
    base = tmp_path / "base"
    workers = await worked(system)
    saved = await run(system, "--save-base", str(base))  # while all runs, and bursts are on their way
    assert saved["visitors"] > 0
    committed = [offset or 0 for offset in await system.log.committed_offsets("folder", VISITOR_LOG)]
    await system.burst()
    await system.settle(learner=True)
    stop(workers)
    before, learned = await states(system), dumps(await system.learned())
    head = read_head(base)
    assert head.folder_offsets <= committed
    await trim(system, VISITOR_LOG, dict(enumerate(head.folder_offsets)))
    await trim(system, OUTCOMES, {number: each.header.position + 1 for number, each in head.checkpoints.items()})
    await ruin(system)

    with pytest.raises(Refused, match=r"visitor-log no longer holds its beginning .*--save-base"):
        await run(system, "--rebuild", "--states")
    with pytest.raises(Refused, match=r"outcomes no longer holds its beginning .*--retained"):
        await run(system, "--rebuild", "--models")
    assert dumps(await system.learned()) == learned, "what is refused changes nothing"

    rebuilt = await run(system, "--rebuild", "--base", str(base))
    assert await states(system) == before
    assert dumps(await system.learned()) == learned
    checked = await run(system, "--check", "--base", str(base))
    assert (checked["different"], checked["unknown"]) == ([], [])

    retained = await run(system, "--rebuild", "--models", "--retained")
    assert 0 < sum(retained["models"]["learned"].values()) < sum(rebuilt["models"]["learned"].values())


@pytest.mark.redis
async def test_a_base_with_models_that_were_behind_needs_what_waits_for_them(
    system: System, tmp_path: Path
) -> None:
    stop(await worked(system))
    blobs = "state.checkpoint_store:CheckpointStore.blobs:after"
    workers = [system.start("folder"), system.start("learner", raises=f"{blobs}:1000000")]
    await system.burst()
    await system.settle()
    base = tmp_path / "base"

    async def all_are_behind() -> bool:
        await run(system, "--save-base", str(base))
        headers = [each.header for each in read_head(base).checkpoints.values()]
        return sum(len(header.waiting()) for header in headers) == 5  # two placements, a variant, two conversions

    await until(all_are_behind, "outcomes wait for every model", 20, system.outputs)
    stop(workers)
    headers = {number: each.header for number, each in read_head(base).checkpoints.items()}
    expected = dumps(await learn_all(system.log, system.catalog))
    needed = {n: 1 + min([h.position, *(m.position for m in h.models.values())]) for n, h in headers.items()}
    await trim(system, OUTCOMES, needed)
    await run(system, "--rebuild", "--models", "--base", str(base))
    assert dumps(await system.learned()) == expected

    await trim(system, OUTCOMES, {number: header.position + 1 for number, header in headers.items()})
    with pytest.raises(Refused, match="outcomes no longer holds the base's offsets"):
        await run(system, "--rebuild", "--models", "--base", str(base))
    assert dumps(await system.learned()) == expected, "what is refused changes nothing"


@pytest.mark.redis
async def test_a_new_epoch_needs_a_base(system: System, tmp_path: Path) -> None:
    """The new log does not hold what the states were folded from: they differ in nothing, and are not compared."""
    workers = await worked(system)
    await system.settle(learner=True)
    stop(workers)
    opened = await asyncio.to_thread(
        CliRunner().invoke, epoch, ["open"], env={"NEXTBEST_KAFKA": "", **system.environment}
    )
    assert opened.exit_code == 0, opened.output
    with pytest.raises(Refused, match=r"epoch 2.*earlier ones.*--save-base"):
        await run(system, "--check")

    base = tmp_path / "base"
    await run(system, "--save-base", str(base))
    await system.log.identity(anew=True)
    workers = await worked(system, n_bursts=1)
    await system.settle(learner=True)
    stop(workers)
    checked = await run(system, "--check", "--base", str(base))
    assert (checked["different"], checked["unknown"]) == ([], [])
    assert checked["entries"] > 0


@pytest.mark.redis
async def test_a_damaged_base_is_refused(system: System, tmp_path: Path) -> None:
    base = tmp_path / "base"
    await run(system, "--save-base", str(base))
    whole = base.read_bytes()
    for bytes_ in (whole[:-9], b"", b"no base", whole[: len(whole) // 2]):
        base.write_bytes(bytes_)
        with pytest.raises(Refused, match=r"is no base|is cut short"):
            await run(system, "--check", "--base", str(base))


@pytest.mark.redis
async def test_a_model_that_raises_is_left_as_it_was_and_the_others_are_rebuilt(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(await worked(system))
    before = await system.learned()
    learn = PlacementModel.learn

    def broken(self: PlacementModel, outcome: Outcome) -> bool:
        if self.placement == "cart":
            raise ValueError("rows are missing")
        return learn(self, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(PlacementModel, "learn", broken)
        report = await run(system, "--rebuild", "--models")
        assert report["models"]["raised"] == {"cart": "ValueError: rows are missing"}
    expected = await learn_all(system.log, system.catalog)
    rebuilt = await system.learned()
    assert dumps(rebuilt)["hero"] == dumps(expected)["hero"]
    assert dumps(rebuilt)["cart"] == dumps(before)["cart"]
    workers = await worked(system, n_bursts=1)
    await system.settle(learner=True)
    stop(workers)
    assert dumps(await system.learned()) == dumps(await learn_all(system.log, system.catalog)), "it has caught up"
