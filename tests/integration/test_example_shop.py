"""The example shop: what its marked lines do, what it learns, and whether everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scipy.stats import binom

from tests.example_visits import Visits
from tests.integration.example_site import (
    assert_everybody_can_use,
    example,
    example_site,
    marked_lines,
    open_page,
    reload_undecided,
)
from tests.integration.visited_site import VisitedSite, id_of
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

N = 60
HEROES = 3


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    with example_site(tmp_path_factory, "shop") as web:
        yield web


def test_five_lines_personalise_it() -> None:
    assert marked_lines(example("shop") / "index.html") == 5


@pytest.mark.parametrize("width", [360, 1200])
def test_everybody_can_use_it(web: VisitedSite, width: int) -> None:
    page = open_page(web, "", width)
    page.wait_for_selector(".strip[data-nextbest-shown]")
    assert_everybody_can_use(page)
    reload_undecided(page)
    assert_everybody_can_use(page)


def test_both_blocks_are_decided_and_what_is_bought_rewards_what_was_shown(web: VisitedSite) -> None:
    page = open_page(web, "")  # nothing is scrolled out of sight
    page.wait_for_selector(".hero[data-nextbest-shown]")
    page.wait_for_selector(".strip[data-nextbest-shown]")
    page.click("text=Add Ridge")
    visitor = id_of(page)
    until(lambda: len(web.stored(visitor).shown) == 2, "both were shown")
    until(lambda: web.stored(visitor).tracked == {"Product Added": 1}, "what was bought is stored")
    (added,) = web.stored(visitor).tracks
    assert added.properties == {"value": 129, "currency": "EUR"}
    (hero,) = (id for id, choice in web.decisions(visitor).items() if choice.placement == "home.hero")
    until(lambda: hero in web.site.outcomes("home.hero"), "the hero's outcome is known")
    assert web.site.outcomes("home.hero")[hero].reward == 1.0
    assert page.evaluate("window.shifts") <= 0.05


def test_after_learning_a_stranger_is_greeted_with_what_those_like_them_buy(web: VisitedSite) -> None:
    """By chance one of three heroes is right; a count beyond ``beyond_chance`` comes once in a million."""
    visits = Visits(web.site.up.url)
    beyond_chance = binom.ppf(1 - 1e-6, N, 1 / HEROES)
    before = sum(visits.shop("first", N))
    visits.wait_learned("home.hero", N)
    visits.shop("second", N)
    visits.wait_learned("home.hero", 2 * N)
    after = sum(visits.shop("stranger", N))
    assert before <= beyond_chance < after
