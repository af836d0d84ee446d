"""``partial``: one placement that cannot be decided leaves the others as they are, and its sender is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.site import WRITE, Site


async def decide(site: Site, *placements: Any, **more: Any) -> Any:
    body = {"visitor": {"anonymousId": "a1"}, "placements": list(placements), **more}
    return await site.client.post("/v1/decide", json=body, headers=WRITE)


@pytest.mark.parametrize(
    ("bad", "field", "code"),
    [
        ("nowhere", "placements[1]", "unknown_placement"),
        ("home.hero", "placements[1]", "duplicate_placement"),
        ({"placement": "home.hero", "slots": 1}, "placements[1]", "duplicate_placement"),
    ],
)
async def test_what_cannot_be_decided_is_left_out_and_told_of(site: Site, bad: Any, field: str, code: str) -> None:
    answer = await decide(site, "home.hero", bad, "home.list", partial=True)
    assert answer.status_code == 200
    assert [each["placement"] for each in answer.json()["decisions"]] == ["home.hero", "home.list", "home.list"]
    assert [(each["field"], each["code"]) for each in answer.json()["warnings"]] == [(field, code)]
    assert len(site.spool.decisions()) == 3


@pytest.mark.parametrize("slots", [0, 3, 10_000])
async def test_of_too_many_slots_the_first_are_decided(site: Site, slots: int) -> None:
    answer = await decide(site, {"placement": "home.list", "slots": slots}, "home.hero", partial=True)
    shown = [(each["placement"], each["slot"]) for each in answer.json()["decisions"]]
    assert shown == [("home.list", 0), ("home.list", 1), ("home.hero", 0)]
    assert [each["field"] for each in answer.json()["warnings"]] == ["placements[0].slots"]


async def test_where_nothing_can_be_decided_nothing_is(site: Site) -> None:
    answer = await decide(site, "nowhere", partial=True)
    assert (answer.status_code, answer.json()["decisions"]) == (200, [])
    assert site.spool.records == []


async def test_without_it_the_call_is_refused(site: Site) -> None:
    answer = await decide(site, "home.hero", "nowhere")
    assert (answer.status_code, answer.json()["field"]) == (400, "placements[1]")
    assert site.spool.records == []
