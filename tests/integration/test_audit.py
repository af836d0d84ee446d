"""Rule *Audit* on a real Redis: several processes write one chain, and whoever tampers with it is found out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from cli.audit import audit
from cli.catalog_commands import publish, rollback
from cli.epoch import epoch
from cli.keys_commands import keys
from config.setting_values import Secret
from personalization.audit.chain import AuditKeys, SignedRecord, decode
from personalization.audit.record import Act
from personalization.errors import Refused
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.audit_store import AuditStore
from state.keys import Keys
from tests.integration.test_api import api, settings_for
from tests.unit.api.site import SERVER

pytestmark = pytest.mark.redis

FIRST, SECOND, THIRD = (f"{which} secret of the installation" for which in ("the first", "the second", "the third"))
RECORDS = "test:{audit}:acts"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def store_of(redis: Redis, secret: str = FIRST, before: str = "", most: int = 100_000) -> AuditStore:
    return AuditStore(redis, "test", Secrets(secret.encode(), before.encode()), most)


def act(name: str = "publish") -> Act:
    return Act(trail="acts", actor="command line: ann", act=name)


async def written(store: AuditStore, n: int) -> None:
    for each in range(n):
        await store.append(act(f"act-{each}"))


async def all_of(store: AuditStore) -> list[SignedRecord]:
    return [entry async for entry in store.all("acts")]


class Console:
    """The command line, against the Redis of a test."""

    def __init__(self, url: str, folder: Path, secret: str = FIRST, before: str = "") -> None:
        self.environment = {
            "NEXTBEST_REDIS": url,
            "NEXTBEST_NAMESPACE": "test",
            "NEXTBEST_DATA_DIR": str(folder / "data"),
            "NEXTBEST_SECRET": secret,
            "NEXTBEST_SECRET_BEFORE": before,
            "NEXTBEST_KAFKA": "",
        }

    async def run(self, command: Any, *words: str) -> tuple[int, str]:
        """The exit code and what was printed; an error of ours is raised."""
        result = await asyncio.to_thread(CliRunner().invoke, command, words, env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout


async def test_two_processes_write_one_chain(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    settings = settings_for(redis_url, tmp_path, secret=Secret(FIRST))
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(api(settings_for(redis_url, tmp_path / name, secret=settings.secret)))
            for name in ("one", "two")
        ]

        async def put(client: httpx.AsyncClient, n: int) -> int:
            return (await client.put(f"/v1/content/i{n}", json={"body": {}}, headers=SERVER)).status_code

        answers = await asyncio.gather(*(put(clients[n % 2], n) for n in range(60)))
    assert answers == [200] * 60
    records = [decode(entry.body) for entry in await all_of(store_of(redis))]
    assert [record.n for record in records] == list(range(1, 61))
    assert {record.objects[0] for record in records} == {f"content_id:i{n}" for n in range(60)}
    assert (await store_of(redis).verify("acts"))[0] is None


async def test_what_comes_at_once_is_written_together_and_whoever_leaves_takes_nobody_along(redis: Redis) -> None:
    store = store_of(redis)
    waiting = [asyncio.create_task(store.append(act(str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    waiting[7].cancel()
    numbers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(numbers.pop(7), asyncio.CancelledError)
    assert sorted(cast("list[int]", numbers)) == [n for n in range(1, 51) if n != 8]
    assert (await store.verify("acts"))[0] is None


async def _change(redis: Redis) -> None:
    body = (await all_of(store_of(redis)))[4].body.replace(b"act-4", b"other")
    mac = (await all_of(store_of(redis)))[4].mac
    await _replace(redis, 5, [(b"body", body), (b"mac", mac)])


async def _forge(redis: Redis) -> None:
    """A whole record, signed by whoever has no secret, and the last note with it."""
    store = store_of(redis)
    forger = AuditKeys(Secrets(b"guessed").key("audit"))
    head = await store.head("acts")
    entry = forger.sealed(head, act("erase"), 1)
    noted = forger.head("acts", entry)
    await redis.xadd(RECORDS, {b"body": entry.body, b"mac": entry.mac}, id=f"{entry.n}-0")
    await redis.hset(
        f"{RECORDS}:head", mapping={"n": noted.n, "hash": noted.hash, "key": noted.key, "mac": noted.mac}
    )


async def _remove(redis: Redis) -> None:
    await redis.xdel(RECORDS, "5-0")


async def _cut_off(redis: Redis) -> None:
    entries = await all_of(store_of(redis))
    await redis.xdel(RECORDS, "9-0", "10-0")
    await redis.hset(f"{RECORDS}:head", mapping={"n": 8, "hash": entries[7].hash})


async def _forget_the_beginning(redis: Redis) -> None:
    before = decode((await all_of(store_of(redis)))[4].body).before
    await redis.xtrim(RECORDS, minid="5-0")
    await redis.hset(f"{RECORDS}:anchor", mapping={"n": 5, "before": before, "key": "", "mac": ""})


async def _insert(redis: Redis) -> None:
    entries = await all_of(store_of(redis))
    await redis.delete(RECORDS)
    for entry in [*entries, entries[2]._replace(n=11)]:
        await redis.xadd(RECORDS, {b"body": entry.body, b"mac": entry.mac}, id=f"{entry.n}-0")
    await redis.hset(f"{RECORDS}:head", "n", 11)


async def _replace(redis: Redis, n: int, fields: list[tuple[bytes, bytes]]) -> None:
    entries = await all_of(store_of(redis))
    await redis.delete(RECORDS)
    for entry in entries:
        put = dict(fields) if entry.n == n else {b"body": entry.body, b"mac": entry.mac}
        await redis.xadd(RECORDS, cast("Any", put), id=f"{entry.n}-0")


@pytest.mark.parametrize(
    ("tamper", "n", "words"),
    [
        (_change, 5, "was changed: its signature is another's"),
        (_remove, 5, "was removed"),
        (_cut_off, 8, "is not what the note of the last record was signed for"),
        (_forget_the_beginning, 5, "the trail begins here by a note under a secret that is not known here"),
        (_insert, 11, "was inserted"),
        (_forge, 11, "stands behind records of this installation"),
    ],
)
async def test_verify_names_the_first_record_that_was_tampered_with(
    redis: Redis,
    redis_url: str,
    tmp_path: Path,
    tamper: Callable[[Redis], Awaitable[None]],
    n: int,
    words: str,
) -> None:
    await written(store_of(redis), 10)
    console = Console(redis_url, tmp_path)
    code, said = await console.run(audit, "verify")
    assert (code, said.split("; last ")[0]) == (0, "acts: records 1 to 10, as they were written")
    await tamper(redis)
    code, said = await console.run(audit, "verify")
    assert code == 1
    assert said.startswith(f"acts: record {n} {words}")


async def test_a_trail_that_was_put_back_is_told_by_a_note_kept_elsewhere(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    console, store = Console(redis_url, tmp_path), store_of(redis)
    await written(store, 3)
    copies = [(name, cast("bytes", await redis.dump(name))) for name in (RECORDS, f"{RECORDS}:head")]
    await written(store, 2)
    note = (await console.run(audit, "verify"))[1].split("last ")[1].split()[0]
    assert note.startswith("acts:5:")
    for name, copy in copies:
        await redis.restore(name, 0, copy, replace=True)
    assert (await console.run(audit, "verify"))[0] == 0, "nothing in Redis tells"
    code, said = await console.run(audit, "verify", "--noted", note)
    assert (code, said.startswith("acts: record 5 is not the one that was noted")) == (1, True)


async def test_the_oldest_records_are_let_go_of_and_the_rest_stays_verifiable(redis: Redis) -> None:
    store = store_of(redis, most=20)
    await written(store, 50)
    entries = await all_of(store)
    assert 20 <= len(entries) <= 23
    fault, verifier, head = await store.verify("acts")
    assert (fault, verifier.first, head.n) == (None, entries[0].n, 50)
    await redis.xdel(RECORDS, f"{entries[0].n}-0")
    fault = (await store.verify("acts"))[0]
    assert fault is not None
    assert fault.n == entries[0].n


async def test_a_rolling_rotation_leaves_no_record_that_nobody_vouches_for(redis: Redis) -> None:
    await written(store_of(redis, FIRST, SECOND), 3)
    for secret, before in ((SECOND, FIRST), (FIRST, SECOND)) * 3:  # processes are restarted one after the other
        await written(store_of(redis, secret, before), 2)
    await written(store_of(redis, SECOND, FIRST), 1)
    await written(store_of(redis, SECOND), 1)
    for secret, before in ((SECOND, FIRST), (SECOND, ""), (THIRD, SECOND)):
        assert (await store_of(redis, secret, before).verify("acts"))[0] is None


async def test_a_record_under_an_earlier_secret_that_nobody_vouches_for_is_verified_by_that_secret(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    await written(store_of(redis, SECOND, FIRST), 3)
    await written(store_of(redis, FIRST), 1)  # a process that was left behind
    await written(store_of(redis, SECOND), 3)
    console = Console(redis_url, tmp_path, SECOND)
    code, said = await console.run(audit, "verify")
    assert (code, said.startswith("acts: record 4 stands behind")) == (1, True)
    (tmp_path / "first").write_text(f"{FIRST}\n")
    assert (await console.run(audit, "verify", "--earlier", str(tmp_path / "first")))[0] == 0


async def test_what_a_forger_appended_is_not_vouched_for_by_who_writes_next(redis: Redis) -> None:
    await written(store_of(redis), 10)
    await _forge(redis)
    await written(store_of(redis), 3)
    fault = (await store_of(redis).verify("acts"))[0]
    assert fault is not None
    assert fault.n == 11


async def test_rotations_of_the_secret_leave_the_whole_trail_verifiable(redis: Redis) -> None:
    for secret, before in ((FIRST, ""), (SECOND, FIRST), (THIRD, SECOND)):
        await written(store_of(redis, secret, before), 3)
        assert (await store_of(redis, secret, before).verify("acts"))[0] is None
    fault, verifier, head = await store_of(redis, THIRD, SECOND).verify("acts")
    assert (fault, verifier.n_foreign, head.n) == (None, 3, 9)


async def test_what_is_done_on_the_command_line_is_recorded_and_found_by_who_and_what(
    redis: Redis, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("installation.audit.login", lambda: "ann")
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "shop.yaml").write_text(
        "placements: {hero: {content: [a], default: a}}\ncontent: {a: {}}\n"
        "sources: {shop: {write_keys: [pk], consent_default: denied}}\n"
    )
    console = Console(redis_url, tmp_path)
    await console.run(publish, str(folder))
    await console.run(keys, "create", "viewer", "--name", "ci", "--publish")
    await console.run(keys, "rotate", "ci")
    await console.run(keys, "revoke", "ci")
    with pytest.raises(Exception, match="nobody"):
        await console.run(keys, "revoke", "nobody")
    await console.run(rollback, "1")
    await console.run(epoch, "open", "--partitions", "4")
    records = [decode(entry.body) for entry in await all_of(store_of(redis))]
    assert {record.actor for record in records} == {"command line: ann"}
    assert [(record.act, record.outcome) for record in records] == [
        ("publish", "allowed"),
        ("keys_create", "allowed"),
        ("keys_rotate", "allowed"),
        ("keys_revoke", "allowed"),
        ("keys_revoke", "allowed"),
        ("keys_revoke", "failed"),
        ("rollback", "allowed"),
        ("epoch_open", "allowed"),
    ]
    assert (records[2].objects, records[5].of) == (("key:ci",), 5)
    shown = (await console.run(audit, "show", "--from", "3", "--limit", "1"))[1]
    assert "keys_rotate" in shown
    assert "keys_revoke" not in shown


async def test_whoever_has_another_secret_does_nothing(redis: Redis, redis_url: str, tmp_path: Path) -> None:
    await AssignmentStore(redis, Keys("test"), Secrets(FIRST.encode())).load()
    with pytest.raises(Refused, match="NEXTBEST_SECRET"):
        await Console(redis_url, tmp_path, secret=SECOND).run(keys, "revoke", "ci")
    assert await all_of(store_of(redis)) == []


async def test_a_visitor_is_found_in_the_audit_and_named_nowhere(
    redis: Redis, redis_url: str, tmp_path: Path
) -> None:
    who = "ann@example.com"
    async with api(settings_for(redis_url, tmp_path, secret=Secret(FIRST))) as client:
        for visitor in (who, "bob"):
            await client.get(f"/v1/visitors/{visitor}", headers=SERVER)
    console = Console(redis_url, tmp_path, secret=SECOND, before=FIRST)
    shown = (await console.run(audit, "show", "--trail", "reads", "--visitor", who, "--json"))[1]
    assert [line.count('"act":"visitor"') for line in shown.splitlines()] == [1, 1], "asked for, and not found"
    for name in await redis.keys("test:{audit}:*"):
        assert b"ann" not in cast("bytes", await redis.dump(name))
