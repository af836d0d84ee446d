"""A folder that is followed: what did not change in it is not published again over what others decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import structs

from cli.live_catalog import FollowedFolder
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.source_keys import digest_of
from personalization.errors import Refused
from state.catalog_store import CatalogStore, PublishedVersion, encode_catalog


def catalog(title: str) -> Catalog:
    return Catalog(
        placements={"home": Placement(content=("one",), default="one")},
        content={"one": Content(type="json", body={"default": {"title": title}})},
    )


ONE, TWO, THREE = catalog("1"), catalog("2"), catalog("3")


class FakeStore:
    """Published versions in a list, numbered as the real store numbers them."""

    def __init__(self) -> None:
        self.published: list[tuple[PublishedVersion, Catalog]] = []
        self.ended: dict[str, int] = {}

    async def ended_keys(self) -> dict[str, int]:
        return self.ended

    async def publish(self, catalog: Catalog, who: str = "", rollback_of: int | None = None) -> int:
        digest = encode_catalog(catalog)[0]
        if not self.published or self.published[-1][0].digest != digest:
            number = len(self.published) + 1
            entry = PublishedVersion(version=number, digest=digest, at_ms=0, who=who, rollback_of=rollback_of)
            self.published.append((entry, catalog))
        return len(self.published)

    async def rollback(self, to: int) -> int:
        return await self.publish(self.published[to - 1][1], "ann", to)

    async def latest(self) -> tuple[int, Catalog] | None:
        return (len(self.published), self.published[-1][1]) if self.published else None

    async def history(self, limit: int) -> list[PublishedVersion]:
        return [entry for entry, _ in reversed(self.published)][:limit]


class Following:
    """A store, and whoever follows ``folder`` on it; each ``up`` is a start."""

    def __init__(self, folder: Path) -> None:
        self.store = FakeStore()
        self.said: list[str] = []
        self.folder = folder

    def up(self, folder: Path | None = None) -> FollowedFolder:
        store = cast("CatalogStore", cast("Any", self.store))
        return FollowedFolder(store, folder or self.folder, self.folder / "memory.json", self.said.append)


@pytest.fixture
def following(tmp_path: Path) -> Following:
    return Following(tmp_path)


async def test_a_start_publishes_the_folder_and_a_second_one_changes_nothing(following: Following) -> None:
    assert (await following.up().begin(ONE)).version == 1
    again = await following.up().begin(ONE)
    assert (again.version, again.words) == (1, f"{following.folder}, version 1, followed live")


async def test_a_change_while_nothing_ran_is_published_at_the_start(following: Following) -> None:
    await following.up().begin(ONE)
    assert (await following.up().begin(TWO)).version == 2
    assert following.said == []


async def test_a_rollback_survives_a_restart_and_is_told(following: Following) -> None:
    await following.up().begin(ONE)
    await following.up().begin(TWO)
    await following.store.rollback(1)
    in_force = await following.up().begin(TWO)
    assert (in_force.version, in_force.catalog) == (3, ONE)
    assert in_force.words.startswith("version 3 (a rollback to version 1, by ann); ")
    assert "has not changed since it was published" in in_force.words
    assert f"nextbest publish {following.folder}" in in_force.words


async def test_a_rollback_survives_a_save_that_changes_nothing(following: Following) -> None:
    up = following.up()
    await up.begin(ONE)
    await up.save(TWO)
    await following.store.rollback(1)
    with pytest.raises(Refused, match=r"version 3 \(a rollback to version 1, by ann\) stays in force"):
        await up.save(TWO)
    assert len(following.store.published) == 3


async def test_what_was_changed_replaces_a_rollback_and_says_so(following: Following) -> None:
    up = following.up()
    await up.begin(ONE)
    await up.save(TWO)
    await following.store.rollback(1)
    assert await up.save(THREE) == 4
    assert following.said == [
        f"catalog version 4, what {following.folder} says now, replaces version 3 (a rollback to version 1, by ann)"
    ]
    # A rollback that is over is not spoken of again, and what stood there before may come back.
    assert await up.save(TWO) == 5
    assert len(following.said) == 1


async def test_what_was_changed_while_nothing_ran_replaces_a_rollback_and_says_so(following: Following) -> None:
    await following.up().begin(ONE)
    await following.up().begin(TWO)
    await following.store.rollback(1)
    assert (await following.up().begin(THREE)).version == 4
    assert len(following.said) == 1


async def test_what_others_published_stays_until_the_folder_changes(following: Following) -> None:
    await following.up().begin(ONE)
    await following.store.publish(TWO, "ann")
    in_force = await following.up().begin(ONE)
    assert (in_force.version, in_force.catalog) == (2, TWO)
    assert in_force.words.startswith("version 2 (published by ann); ")


async def test_another_folder_and_an_emptied_redis_are_published(following: Following, tmp_path: Path) -> None:
    await following.up().begin(ONE)
    await following.store.publish(TWO)
    assert (await following.up(tmp_path / "other").begin(ONE)).version == 3
    following.store.published.clear()
    assert (await following.up(tmp_path / "other").begin(ONE)).version == 1


async def test_a_memory_that_is_damaged_publishes(following: Following) -> None:
    await following.up().begin(ONE)
    await following.store.publish(TWO)
    (following.folder / "memory.json").write_bytes(b"?")
    assert (await following.up().begin(ONE)).version == 3


def with_key(title: str) -> Catalog:
    return structs.replace(catalog(title), sources={"shop": Source(server_keys=("sk",))})


async def test_a_folder_that_gives_an_ended_key_on_is_not_published_over_who_ended_it(following: Following) -> None:
    up = following.up()
    await up.begin(with_key("1"))
    await following.store.publish(ONE, "ann")
    following.store.ended = {digest_of("sk"): 1}
    with pytest.raises(Refused, match=r"sources\.shop\.server_keys\[0\]: this key was revoked"):
        await up.save(with_key("2"))
    in_force = await following.up().begin(with_key("2"))
    assert (in_force.version, in_force.catalog) == (2, ONE)
    assert len(following.said) == 1
    assert (await up.save(catalog("2"))) == 3
