"""``GET /v1/experiments``: what of which placement is told, and to whom."""

from __future__ import annotations

import msgspec

from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.challengers import Challenger
from personalization.evaluation.strata import EVERYBODY, SideSums, Stratum
from personalization.evaluation.trial_sums import TrialSums
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


async def test_a_policy_on_trial_is_told_beside_with_what_it_would_have_brought() -> None:
    catalog = shop()
    challenger = Challenger(policy=PolicySpec(name="thompson"))
    hero = msgspec.structs.replace(catalog.placements["home.hero"], challenger=challenger)
    placements = {**catalog.placements, "home.hero": hero}
    tried = compile_catalog(msgspec.structs.replace(catalog, placements=placements), 12)
    shadow = tried.placements["home.hero"].shadow
    assert shadow is not None
    # Of 4,000 rewards it weighs 3,000 twice, half of which were 1, and 1,000 not at all, all of which were 0.
    twice = {"ratios": 6_000.0, "ratio_squares": 12_000.0, "weighed": 3_000.0, "weighed_squares": 6_000.0}
    rewards = {"reward": 1_500.0, "reward_squares": 1_500.0, "products": 3_000.0, "cross": 6_000.0}
    sums = TrialSums(n_decisions=4_000.0, match=3_000.0, n=4_000.0, **twice, **rewards)
    added_up = AddedUp(tried={"home.hero": {shadow.trial: sums}})
    async with open_site(compiled=tried, added_up=added_up) as site:
        answer = (await site.client.get("/v1/experiments", headers=SERVER)).json()
        other = (await site.client.get("/v1/experiments?placement=home.list", headers=SERVER)).json()
    (contest,) = answer["challengers"]
    assert (contest["placement"], contest["onTrial"], contest["standing"]) == ("home.hero", "thompson", "on trial")
    assert contest["found"]["matchRate"] == 0.75
    assert (contest["found"]["inForce"], contest["found"]["onTrial"]) == (0.375, 0.5)
    assert contest["found"]["low"] > 0
    assert contest["words"].startswith("thompson would have brought 0.125 more a decision, between")
    assert other["challengers"] == []
