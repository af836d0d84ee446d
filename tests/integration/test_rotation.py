"""Rule *Rotation*, in running systems: nothing is lost, nobody is moved, and a foreign secret is told in words."""

from __future__ import annotations

import signal
import urllib.error
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from msgspec import structs
from redis.asyncio import Redis

from api.app import Application
from api.process.composition import open_services
from config.setting_values import Secret
from eventlog.topics import VISITOR_LOG
from installation.redis_clients import worker_client
from online_models import checkpoint
from online_models.conversion.checkpoint import dump_served, load_served
from online_models.conversion.contender import Contender
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from personalization.catalog.sections.variants import PlacementVariant
from personalization.errors import Refused, Unavailable
from personalization.events.decision_id import key_of, trial_of
from personalization.events.entry import decode_entry
from personalization.events.event import Rewarded
from personalization.key_derivation import Secrets
from state.assignment_store import AssignmentStore
from state.catalog_store import CatalogStore
from state.keys import Keys
from tests.integration.test_api import api, decide, entries, settings_for, until
from tests.requirements import require
from tests.running import Up, start
from tests.running import until as running_until
from tests.unit.api.site import WRITE, client_of, shop

pytestmark = pytest.mark.redis

FIRST, SECOND, THIRD = "the first secret", "the second secret", "the third secret"
KEYS = Keys("test")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = worker_client(redis_url)
    yield client
    await client.aclose()


def running(
    url: str, tmp_path: Path, secret: str, before: str = ""
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """An API process under these secrets."""
    return api(settings_for(url, tmp_path, secret=Secret(secret), secret_before=Secret(before)))


async def publish_experiments(url: str) -> None:
    """A catalog with a holdout, a variant and kept choices, so that everybody is somewhere."""
    catalog = shop()
    hero = structs.replace(
        catalog.placements["home.hero"], holdout=0.3, variants={"a": PlacementVariant(share=0.5)}, sticky=True
    )
    redis = Redis.from_url(url)
    await CatalogStore(redis, "test").publish(structs.replace(catalog, placements={"home.hero": hero}), "test")
    await redis.aclose()


async def reward(client: httpx.AsyncClient, decision_id: str) -> int:
    response = await client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)
    return response.status_code


async def taken(client: httpx.AsyncClient, decision_id: str) -> bool:
    """The reward was taken; not before there is a log."""
    status = await reward(client, decision_id)
    assert status in (204, 503)
    return status == 204


async def rewarded(url: str) -> list[tuple[str, str]]:
    """Key and decision of every reward in the log."""
    found = [(key, decode_entry(value).event) for key, value in await entries(url, VISITOR_LOG, SECOND)]
    return [(key, event.decision_id) for key, event in found if isinstance(event, Rewarded)]


async def sides(client: httpx.AsyncClient) -> list[tuple[Any, ...]]:
    found = []
    for n in range(60):
        (decision,) = (await decide(client, f"a{n}"))["decisions"]
        held_out = decision.get("holdout", False)  # nothing is drawn for who is: each answer has a trial of its own
        trial = "" if held_out else trial_of(decision["decisionId"])
        found.append((held_out, decision.get("variant"), decision["contentId"], trial))
    return found


async def test_an_id_of_the_secret_before_is_rewarded_after_a_rotation(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path / "1", FIRST) as client:
        old = (await decide(client))["decisions"][0]["decisionId"]
    async with running(redis_url, tmp_path / "2", SECOND, FIRST) as client:
        await until(lambda: taken(client, old))
        new = (await decide(client))["decisions"][0]["decisionId"]
        await until(lambda: taken(client, new))
        assert key_of(Secrets(SECOND.encode()).key("decision-ids"), new) == "a:a1", "made under the new one"
    async with running(redis_url, tmp_path / "3", THIRD, SECOND) as client:
        assert await reward(client, old) == 400, "of the one before that nothing holds any more"
        await until(lambda: taken(client, new))
    assert await rewarded(redis_url) == [("a:a1", old), ("a:a1", new), ("a:a1", new)]


async def test_processes_on_both_sides_of_a_rotation_agree(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path / "1", FIRST) as client:
        await publish_experiments(redis_url)
        await until(lambda: _has_variants(client))
        before = await sides(client)
    assert {each[:2] for each in before} == {(True, None), (False, None), (False, "a")}
    # The coming secret is accepted everywhere first, then in force here and there, then alone.
    async with (
        _joined(redis_url, tmp_path / "2", FIRST, SECOND) as behind,
        _joined(redis_url, tmp_path / "3", SECOND, FIRST) as ahead,
        _joined(redis_url, tmp_path / "4", SECOND) as alone,
    ):
        for client in (behind, ahead, alone):
            assert await sides(client) == before
        of_behind, of_ahead = [(await decide(each, "b1"))["decisions"][0]["decisionId"] for each in (behind, ahead)]
        assert of_behind != of_ahead
        assert trial_of(of_behind) == trial_of(of_ahead)
        for decision_id in (of_behind, of_ahead):
            for client in (behind, ahead):
                await until(partial(taken, client, decision_id))
    assert sorted(await rewarded(redis_url)) == sorted(2 * [("a:b1", of_behind), ("a:b1", of_ahead)])


async def _has_variants(client: httpx.AsyncClient) -> bool:
    return any(side[1] for side in await sides(client))


def _joined(
    url: str, tmp_path: Path, secret: str, before: str = ""
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """As ``running``, and the catalog stays as it is."""
    return api(settings_for(url, tmp_path, secret=Secret(secret), secret_before=Secret(before)), publish=False)


async def test_what_persons_are_assigned_by_goes_along_from_secret_to_secret(redis: Redis) -> None:
    first, second, third = (each.encode() for each in (FIRST, SECOND, THIRD))
    store = AssignmentStore(redis, KEYS, Secrets(first))
    with pytest.raises(Unavailable):
        _ = store.found
    assert await store.load() == store.found == first
    assert await AssignmentStore(redis, KEYS, Secrets(first, second)).load() == first, "the coming one knows it too"
    for secrets in (Secrets(second), Secrets(third, second), Secrets(third), Secrets(first)):
        assert await AssignmentStore(redis, KEYS, secrets).load() == first
    noted = cast("dict[bytes, bytes]", await redis.hgetall(KEYS.assignment))
    assert len(noted) == 3
    assert first not in b"".join((*noted, *noted.values())), "Redis tells nobody a secret"


async def test_a_process_that_runs_while_redis_is_emptied_notes_it_again(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path / "1", FIRST):
        pass
    redis = worker_client(redis_url)
    async with (
        running(redis_url, tmp_path / "2", SECOND, FIRST),
        running(redis_url, tmp_path / "3", SECOND) as client,
    ):
        await publish_experiments(redis_url)  # a second version: the numbers of an emptied Redis lie below it
        await until(lambda: _has_variants(client))
        await redis.flushall()

        async def noted() -> bool:
            return bool(await redis.exists(KEYS.assignment))

        await until(noted)
        assert await AssignmentStore(redis, KEYS, Secrets(SECOND.encode())).load() == FIRST.encode()
    await redis.aclose()


async def test_an_update_that_rotates_at_once_keeps_the_secret_it_began_with(redis: Redis) -> None:
    assert await AssignmentStore(redis, KEYS, Secrets(SECOND.encode(), FIRST.encode())).load() == FIRST.encode()
    assert await AssignmentStore(redis, KEYS, Secrets(SECOND.encode())).load() == FIRST.encode()


async def test_a_note_that_was_altered_assigns_nobody(redis: Redis) -> None:
    await AssignmentStore(redis, KEYS, Secrets(FIRST.encode())).load()
    (name,) = await redis.hkeys(KEYS.assignment)
    for value in (b"", b"x" * 40):
        await redis.hset(KEYS.assignment, name, value)
        with pytest.raises(Refused, match="another secret"):
            await AssignmentStore(redis, KEYS, Secrets(FIRST.encode())).load()


async def test_a_process_with_a_foreign_secret_is_not_ready_and_says_what_to_do(
    redis_url: str, tmp_path: Path
) -> None:
    async with running(redis_url, tmp_path / "1", FIRST):
        pass
    settings = settings_for(redis_url, tmp_path / "2", secret=Secret(THIRD))
    app = Application(lambda: open_services(settings))
    async with app.started(), client_of(app) as client:

        async def told() -> bool:
            response = await client.get("http://inner/readyz")
            assert response.status_code == 503
            return "NEXTBEST_SECRET_BEFORE" in str(response.json()["reasons"].get("catalog"))

        await until(told)
        body = {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}
        assert (await client.post("/v1/decide", json=body, headers=WRITE)).status_code != 200


@pytest.mark.parametrize(
    "made_by",
    [Secrets(FIRST.encode()).key("models"), FIRST.encode(), SECOND.encode()],
    ids=["the secret before", "a release before", "a release before, under the new one"],
)
def test_models_signed_under_the_secret_before_or_by_a_release_before_are_read(made_by: bytes) -> None:
    key, later = Secrets(SECOND.encode(), FIRST.encode()).key("models"), Secrets(THIRD.encode()).key("models")
    river = PlacementModel("home.hero", "river.linear_model.LinearRegression")
    stored, published = checkpoint.dump(river, {0: 3}, made_by), river.snapshot().encode(made_by)
    served = dump_served(Contender(), "buys", 1, made_by)
    assert checkpoint.load(stored, key).offsets == {0: 3}
    assert ModelSnapshot.decode(published.header, published.arms, key).model == river.snapshot().model
    assert load_served(served, key).conversion == "buys"
    with pytest.raises(Refused, match="secret"):
        checkpoint.load(stored, later)
    with pytest.raises(Refused, match="secret"):
        ModelSnapshot.decode(published.header, published.arms, later)
    with pytest.raises(Refused, match="secret"):
        load_served(served, later)
    assert checkpoint.dump(river, {0: 3}, key) == checkpoint.dump(river, {0: 3}, bytes(key)), (
        "made under the new one"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_up_goes_on_under_another_secret(tmp_path: Path) -> None:
    """Decided under one secret, rewarded under the next: the open decision closes in its visitor's state."""
    require("redis")
    folder = tmp_path / "data"
    with _up(folder) as up:
        decided = _decided(up)
    (folder / "secret").rename(folder / "secret-before")
    with _up(folder, NEXTBEST_SECRET_BEFORE_FILE=str(folder / "secret-before")) as up:
        assert (folder / "secret").read_text() != (folder / "secret-before").read_text()
        assert up.call("GET", "/v1/visitors/a1")["openDecisions"] == 1
        final = {"value": 1.0, "messageId": "r1", "final": True}
        up.call("POST", f"/v1/decisions/{decided['decisionId']}/reward", final, key="pk_dev")
        running_until(lambda: up.call("GET", "/v1/visitors/a1")["openDecisions"] == 0, "the decision closes")
        assert _decided(up)["holdout"] == decided["holdout"]


@contextmanager
def _up(folder: Path, **settings: str) -> Iterator[Up]:
    """A ``nextbest up`` that is stopped in order at the end."""
    up = start(folder, **settings)
    with up.process:
        try:
            yield up
        finally:
            up.process.send_signal(signal.SIGINT)
            assert up.process.wait(60) == 0


def _decided(up: Up) -> dict[str, Any]:
    """A decision for ``a1``, once it is in the visitor's state."""
    body = {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}
    (decision,) = up.call("POST", "/v1/decide", body, key="pk_dev")["decisions"]
    running_until(lambda: _n_open(up) > 0, "the decision is open")
    return dict(decision)


def _n_open(up: Up) -> int:
    try:
        return int(up.call("GET", "/v1/visitors/a1")["openDecisions"])
    except urllib.error.HTTPError as error:
        if error.code in (404, 503):  # not folded yet, or a busy machine
            return 0
        raise
