"""``GET /v1/experiments``: what of which placement is told, and to whom."""

from __future__ import annotations

import msgspec

from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.evaluation.strata import EVERYBODY, SideSums, Stratum
from tests.unit.api.site import NOW, SERVER, WRITE, AddedUp, open_site, shop

SPLIT = {"control": 0.5, "": 0.5}
HORIZON_MS = 7 * DAY_MS
TOOK_PART = Stratum(dict(SPLIT), HORIZON_MS, {EVERYBODY: {"control": SideSums(n=40.0), "": SideSums(n=44.0)}})


def compiled() -> CompiledCatalog:
    """The shop, with a holdout in one of its two placements."""
    catalog = shop()
    hero = msgspec.structs.replace(catalog.placements["home.hero"], holdout=0.5)
    placements = {**catalog.placements, "home.hero": hero}
    return compile_catalog(msgspec.structs.replace(catalog, placements=placements), 12)


async def test_all_placements_that_compare_something_are_told() -> None:
    async with open_site(compiled=compiled(), added_up=AddedUp({"home.hero": [TOOK_PART]})) as site:
        answer = (await site.client.get("/v1/experiments", headers=SERVER)).json()
    assert (answer["catalogVersion"], answer["atMs"]) == (12, NOW)
    (report,) = answer["experiments"]
    assert report["placement"] == "home.hero"
    assert report["counts"] == {"control": 40, "": 44}
    assert report["split"] == SPLIT


async def test_a_placement_that_compares_nothing_says_so_where_it_is_asked_for() -> None:
    async with open_site(compiled=compiled()) as site:
        answer = (await site.client.get("/v1/experiments?placement=home.list", headers=SERVER)).json()
    (report,) = answer["experiments"]
    assert report["placement"] == "home.list"
    assert report["missing"]
    assert report["differences"] == []


async def test_a_placement_that_is_not_there_is_a_404_that_names_one_like_it() -> None:
    async with open_site(compiled=compiled()) as site:
        answer = await site.client.get("/v1/experiments?placement=home.heros", headers=SERVER)
    assert answer.status_code == 404
    assert answer.json()["field"] == "placement"
    assert "did you mean 'home.hero'?" in answer.json()["message"]


async def test_a_page_may_not_read_it() -> None:
    async with open_site(compiled=compiled()) as site:
        assert (await site.client.get("/v1/experiments", headers=WRITE)).status_code == 403
