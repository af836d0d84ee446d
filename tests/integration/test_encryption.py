"""Personal data are encrypted wherever they lie, and whoever may read them still does."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from config.setting_values import RedisUrl, Secret
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import Spool
from eventlog.topics import DEAD_LETTERS, DECISIONS, OUTCOMES, VISITOR_LOG, Topics
from installation.encryption import cipher_of, load_data_key
from installation.redis_clients import worker_client
from personalization.data_cipher import SEALED, DataCipher
from personalization.errors import Refused, Unavailable
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.keys import Keys
from state.visitor_store import FENCE, NEVER_SEEN, Change, RedisVisitorStore, UnreadableState
from stream.house import open_house
from tests.ciphers import new_cipher
from tests.integration.site import NAMESPACE, Site
from tests.of_type import of_type
from tests.running import start, stop, until
from tests.standing_still import stand_still

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  home:
    content: [known]
    default: plain
    rewards: [{event: Clicked, value: 1}]
    window: 2s
    features: [traits.email, context.page.title]
content:
  known: {type: html, body: "<p>{{traits.email|you}}</p>", when: has(traits.email)}
  plain: {type: html, body: <p>plain</p>}
sources:
  page:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
PLANTED = "jane.doe.4711@shop.example"
KEYS = Keys("t")
FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def test_a_planted_address_is_found_nowhere_and_decisions_see_it(site: Site) -> None:
    context = {"page": {"title": PLANTED, "url": f"https://shop.example/{PLANTED}"}}
    site.collect({"type": "identify", "userId": "jane", "traits": {"email": PLANTED}, "context": context})
    site.collect({"type": "track", "event": "Viewed", "userId": "jane", "properties": {"to": PLANTED}})
    until(lambda: site.state("u:jane").traits.get("email") == PLANTED, "the trait is folded")
    shown = site.decide({"userId": "jane"}, "home", key="sk_dev", context=context)
    assert PLANTED in shown["content"]["html"], "the decision sees the trait"
    assert site.decide({"userId": "nobody"}, "home", key="sk_dev")["contentId"] == "plain"
    site.collect({"type": "track", "event": "Clicked", "userId": "jane", "context": context})
    until(lambda: shown["decisionId"] in site.outcomes("home"), "its outcome is there")
    until(lambda: site.learned("home")[0] > 0, "and learned")
    opened = {
        topic: b"".join(value for *_, value in site.raw(topic)) for topic in (VISITOR_LOG, DECISIONS, OUTCOMES)
    }
    assert all(PLANTED.encode() in values for values in opened.values()), "what is looked for would be found"
    assert PLANTED.encode() not in everything_in_redis(site.redis)
    assert site.redis.bgrewriteaof()
    until(lambda: files_with(site.up.data_dir, PLANTED) == [], "no file holds it")
    export = site.up.call("GET", "/v1/visitors/jane/export")
    assert export["states"][0]["profile"]["traits"] == {"email": PLANTED}
    assert PLANTED in str(export["log"]["visitor-log"])
    assert PLANTED in str(export["log"]["outcomes"]) or PLANTED in str(export["log"]["decisions"])


def test_what_waits_on_disk_while_redis_hangs_is_sealed(site: Site) -> None:
    told = f"told-{PLANTED}"
    stand_still(site.up.pids["redis"])
    try:
        sent = {"type": "identify", "userId": "waits", "traits": {"email": told}}
        site.decide({"userId": "waits"}, "home", key="sk_dev", events=[sent], context={"page": {"title": told}})
        until(lambda: files_with(site.up.data_dir / "spool", "u:waits") != [], "it is in the spool")
        assert files_with(site.up.data_dir, told) == []
    finally:
        os.kill(site.up.pids["redis"], signal.SIGCONT)
    until(lambda: site.state("u:waits").traits.get("email") == told, "it reaches the log, and is read")


def entries_of_the_log(redis: Any) -> list[dict[bytes, bytes]]:
    """Of all topics; the audit is a stream too, and names nobody."""
    found = [fields for name in redis.scan_iter(_type="stream") for _, fields in redis.xrange(name)]
    return [fields for fields in found if b"v" in fields]


def test_every_value_that_is_written_is_sealed(site: Site) -> None:
    site.collect({"type": "track", "event": "Viewed", "anonymousId": "sealed-1"})
    until(lambda: site.state("a:sealed-1").event_count == 1, "it is folded")
    redis: Any = site.redis
    names = [name.decode() for name in redis.scan_iter(match=f"{NAMESPACE}:*")]
    states = [redis.get(name)[FENCE.size :] for name in names if site.keys.visitor_key_of(name)]
    parts = [redis.get(name) for name in names if name.startswith(f"{NAMESPACE}:folder:")]
    entries = [entry[b"v"] for entry in entries_of_the_log(redis)]
    for values in (states, parts, entries):
        assert values
        assert all(value.startswith(SEALED) for value in values)


def test_a_replay_reads_what_is_sealed_and_writes_a_base_that_is(site: Site, tmp_path: Path) -> None:
    assert "Every stored state is what the log says." in site.command("replay", "--check")
    base = tmp_path / "base"
    site.command("replay", "--save-base", str(base))
    with gzip.open(base) as file:
        frames = file.read()
    assert frames[4:].startswith(SEALED)
    assert PLANTED.encode() not in frames
    assert "Every stored state is what the log says." in site.command("replay", "--check", "--base", str(base))


def test_an_entry_that_cannot_be_opened_is_a_dead_letter_that_names_the_remedy(site: Site) -> None:
    redis: Any = site.redis
    moved = next(each[b"v"] for each in entries_of_the_log(redis) if each[b"k"] == b"a:sealed-1")
    asyncio.run(append_as_it_is(site, "a:sealed-2", [moved, new_cipher().sealed(b"x", b"x")]))
    site.collect({"type": "track", "event": "Viewed", "anonymousId": "sealed-2"})
    until(lambda: site.state("a:sealed-2").event_count == 1, "what came behind is folded")
    letters = [value for *_, value in site.raw(DEAD_LETTERS) if b"sealed" in value]
    assert len(letters) == 2
    for letter in letters:
        assert b"restore the key `data-key` of its namespace from a backup of Redis" in letter


def test_it_is_switched_off_and_on_again_over_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "shop.yaml").write_text(CATALOG)
    data = tmp_path / "data"
    quick = {"NEXTBEST_REDIS_TIMEOUT_MS": "1000", "NEXTBEST_DEADLINE_MS": "5000", "NEXTBEST_NAMESPACE": NAMESPACE}
    for n, encrypt in enumerate(("off", "on", "off")):
        up = start(data, "--catalog", str(folder), NEXTBEST_ENCRYPT=encrypt, **quick)
        try:
            with Redis.from_url(up.redis_url()) as redis:
                site = Site(up, up.redis_url(), redis, folder)
                event = {"type": "identify", "userId": "jane", "traits": {"email": PLANTED, "n": n}}
                site.collect(event, {**event, "userId": f"only-{n}"})
                assert site.state("u:jane").event_count == n + 1, "what was written before was read"
                assert (PLANTED.encode() in (redis.get(site.keys.visitor("u:jane")) or b"")) is (encrypt == "off")
                assert site.state("u:only-0").traits["n"] == 0, "and what nobody writes stays as it is"
                assert "Every stored state is what the log says." in site.command("replay", "--check")
                for visitor_id in ("jane", "only-0"):
                    shown = site.decide({"userId": visitor_id}, "home", key="sk_dev")
                    assert PLANTED in shown["content"]["html"], "decisions see them"
        finally:
            stop(up)


async def test_what_the_spool_leaves_on_disk_is_sealed_and_reaches_the_log(redis_url: str, tmp_path: Path) -> None:
    cipher = new_cipher()
    record = Record(VISITOR_LOG, "a:1", PLANTED.encode())
    away = RedisStreamsLog("redis://127.0.0.1:1/0", Topics("t."), append_timeout_s=0.1, cipher=cipher)
    spool = Spool(away, tmp_path, cipher=cipher)
    spool.put(record)
    assert await spool.drain(0.05) == 1
    await away.close()
    assert files_with(tmp_path, "visitor-log")
    assert files_with(tmp_path, PLANTED) == []
    log = RedisStreamsLog(redis_url, Topics("t."), cipher=cipher)
    await log.create(1)
    again = Spool(log, tmp_path, cipher=cipher)
    running = asyncio.create_task(again.run())
    again.put(Record(VISITOR_LOG, "a:1", b"later"))
    while again.n_appended < 2:
        await log.until_appended()
    await again.drain(5)
    await running
    assert [entry.value async for entry in log.read(VISITOR_LOG, 0, 0)] == [PLANTED.encode(), b"later"]
    await log.close()


async def test_two_rotations_leave_everything_readable(redis_url: str) -> None:
    redis = worker_client(redis_url)
    values = {}
    for current, before in ((FIRST, ""), (SECOND, FIRST), (THIRD, SECOND), (THIRD, "")):
        cipher = await loaded(redis, current, before)
        values[current, before] = cipher.sealed(PLANTED.encode(), b"x")
        assert {cipher.opened(value, b"x") for value in values.values()} == {PLANTED.encode()}
    with pytest.raises(Refused, match="encrypted under another secret than those given here: set NEXTBEST_SECRET"):
        await loaded(redis, "4" * 32)
    await redis.aclose()


async def test_processes_that_start_together_take_one_key(redis_url: str) -> None:
    redis = worker_client(redis_url)
    ciphers = await asyncio.gather(*(loaded(redis, FIRST) for _ in range(8)))
    sealed = ciphers[0].sealed(b"x", b"x")
    assert all(cipher.opened(sealed, b"x") == b"x" for cipher in ciphers)
    await redis.aclose()


@pytest.mark.parametrize("lost", [["data-key"], ["data-key", "data-key-id"]], ids=["the key", "and its id"])
async def test_a_lost_key_is_never_followed_by_another(redis_url: str, lost: list[str]) -> None:
    redis = worker_client(redis_url)
    cipher = await loaded(redis, FIRST)
    store = RedisVisitorStore(redis, KEYS, b"key", cipher=cipher)
    await store.save([Change("a:1", NEVER_SEEN, visitor(1))])
    said = of_type(bytes, await redis.get(KEYS.data_key_id)).decode()
    await redis.delete(*(f"t:{name}" for name in lost))
    with pytest.raises(Refused, match=f"data key {said}.* restore t:data-key from a backup of Redis"):
        await loaded(redis, FIRST)
    assert not await redis.exists(KEYS.data_key)
    await redis.aclose()


async def test_a_lost_key_is_missed_where_no_state_tells_of_it(redis_url: str) -> None:
    redis = worker_client(redis_url)
    await loaded(redis, FIRST)
    await redis.delete(KEYS.data_key)
    with pytest.raises(Refused, match="is not in Redis any more: restore t:data-key"):
        await loaded(redis, FIRST)
    await redis.aclose()


async def test_a_worker_does_not_start_on_a_log_sealed_under_a_lost_key(redis_url: str) -> None:
    lost = RedisStreamsLog(redis_url, Topics("t."), cipher=new_cipher())
    await lost.create(4)
    await lost.append([Record(VISITOR_LOG, "a:1", b"x")])
    await lost.close()
    with pytest.raises(Refused, match=r"the log holds entries sealed under the data key .*: restore t:data-key"):
        async with asyncio.timeout(20), open_house(settings_of(FIRST, redis=RedisUrl(redis_url)), "folder"):
            pass


async def test_a_state_moved_to_another_visitor_does_not_open(redis_url: str) -> None:
    redis = worker_client(redis_url)
    store = RedisVisitorStore(redis, KEYS, b"key", cipher=await loaded(redis, FIRST))
    await store.save([Change("a:1", NEVER_SEEN, visitor(1)), Change("a:2", NEVER_SEEN, visitor(2))])
    old: Any = await redis.get(KEYS.visitor("a:1"))
    await redis.set(KEYS.visitor("a:2"), old)
    with pytest.raises(UnreadableState, match=r"does not open: .* moved here from elsewhere"):
        (await store.load(["a:2"]))["a:2"].visitor()
    await redis.set(KEYS.visitor("a:1"), FENCE.pack(1, 9) + old[FENCE.size :])
    with pytest.raises(UnreadableState, match="does not open"):
        (await store.load(["a:1"]))["a:1"].visitor()  # neither does one with a later fence
    await redis.aclose()


async def test_nothing_is_written_in_the_clear_before_the_key_is_known(redis_url: str) -> None:
    cipher = cipher_of(settings_of(FIRST))
    log = RedisStreamsLog(redis_url, Topics("t."), cipher=cipher)
    await log.create(1)
    with pytest.raises(Unavailable, match="was not read from Redis yet"):
        await log.append([Record(VISITOR_LOG, "a:1", b"x")])
    assert await log.end_offsets(VISITOR_LOG) == [0]
    await log.close()


async def append_as_it_is(site: Site, key: str, values: list[bytes]) -> None:
    log = open_log(site.log_url, Topics(prefix=f"{NAMESPACE}."))
    await log.append([Record(VISITOR_LOG, key, value) for value in values])
    await log.close()


def settings_of(secret: str, before: str = "", **more: Any) -> Settings:
    return Settings(namespace="t", secret=Secret(secret), secret_before=Secret(before), data_dir="/nowhere", **more)


async def loaded(redis: AsyncRedis, secret: str, before: str = "") -> DataCipher:
    settings = settings_of(secret, before)
    cipher = cipher_of(settings)
    await load_data_key(settings, redis, KEYS, cipher)
    return cipher


def visitor(offset: int) -> Visitor:
    state = VisitorState(epoch=1, offset=offset, event_count=1, first_ms=1, traits={"email": PLANTED})
    return Visitor(state, FolderState())


def everything_in_redis(redis: Any) -> bytes:
    readers: dict[bytes, Callable[[bytes], Iterable[bytes]]] = {
        b"string": lambda name: [redis.get(name) or b""],
        b"hash": lambda name: [part for pair in redis.hgetall(name).items() for part in pair],
        b"list": lambda name: redis.lrange(name, 0, -1),
        b"set": lambda name: redis.smembers(name),
        b"zset": lambda name: redis.zrange(name, 0, -1),
        b"stream": lambda name: [part for _, fields in redis.xrange(name) for part in fields.values()],
        b"none": lambda name: [],
    }
    names = list(redis.scan_iter(count=1000))
    return b"\n".join(part for name in names for part in (name, *readers[redis.type(name)](name)))


def files_with(folder: Path, text: str) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(str(path.relative_to(folder)))
        except FileNotFoundError:
            continue
    return found
