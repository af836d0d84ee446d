"""The example newspaper: what its marked lines do, what it learns, and whether everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from scipy.stats import binom

from eventlog.topics import DECISIONS
from personalization.events.decision_record import DecisionRecord, decode_record
from personalization.visitor.visitor_state import Affinity
from tests.example_visits import SECTIONS, Visits
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

FILLED = "document.querySelectorAll('[data-nextbest-shown]').length == 3"
N = 60
LEADS = 5


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    with example_site(tmp_path_factory, "news") as web:
        yield web


def test_five_lines_personalise_it_and_one_of_them_is_on_every_other_page() -> None:
    front = example("news") / "index.html"
    assert marked_lines(front) == 5
    others = sorted(example("news").glob("*/index.html"))
    assert [page.parent.name for page in others] == sorted(SECTIONS)
    assert [marked_lines(page) for page in others] == [1] * len(SECTIONS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_everybody_can_use_it(web: VisitedSite, width: int, scheme: Literal["light", "dark"]) -> None:
    page = open_page(web, "", width, scheme)
    page.wait_for_function(FILLED)
    assert_everybody_can_use(page)
    reload_undecided(page)
    assert_everybody_can_use(page)
    page.goto(f"{web.origin}/sport/")
    assert_everybody_can_use(page)


@pytest.mark.parametrize("width", [360, 1200])
def test_two_stories_of_one_placement_differ_and_nothing_moves(web: VisitedSite, width: int) -> None:
    page = open_page(web, "", width)
    page.wait_for_function(FILLED)
    visitor = id_of(page)
    until(lambda: len(web.stored(visitor).shown) == 3, "all three were shown")
    assert len({choice.arm for choice in web.decisions(visitor).values()}) == 3
    assert page.evaluate("window.shifts") <= 0.05


def test_after_learning_the_front_page_leads_with_what_a_stranger_has_read(web: VisitedSite) -> None:
    """By chance one of five leads is right; a count beyond ``beyond_chance`` comes once in a million."""
    visits = Visits(web.site.up.url)
    beyond_chance = binom.ppf(1 - 1e-6, N, 1 / LEADS)
    before = sum(visits.read_the_news("first", N))
    visits.wait_learned("front.lead", N)
    visits.read_the_news("second", N)
    visits.wait_learned("front.lead", 2 * N)
    after = sum(visits.read_the_news("stranger", N))
    assert before <= beyond_chance < after
    chances = [chance_of_own_section(web, section) for section in ("sport", "science")]
    assert min(chances) > 2 / LEADS, chances


def chance_of_own_section(web: VisitedSite, section: str) -> float:
    """The probability with which the front page leads with a section, for who opened that in a browser before."""
    page = open_page(web, f"{section}/")
    visitor = id_of(page)
    until(lambda: f"/{section}/" in liked(web, visitor), "what was opened is known")
    page.click("text=Back to the front page")
    page.wait_for_function(FILLED)
    until(lambda: len(leads_decided(web, visitor)) == 1, "the decision is in the log")
    (record,) = leads_decided(web, visitor)
    lead = page.locator(".lead .kind").inner_text().lower()
    assert record.choice.arm == f"lead.{lead}"  # what is seen is what was decided
    return chance(record, f"lead.{section}")


def leads_decided(web: VisitedSite, visitor: str) -> list[DecisionRecord]:
    """What was decided for the lead of somebody's front page; an answer does not wait for its record."""
    return [
        record
        for key, _, value in web.site.raw(DECISIONS)
        if key == f"a:{visitor}" and (record := decode_record(value)).choice.placement == "front.lead"
    ]


def liked(web: VisitedSite, visitor: str) -> dict[str, float]:
    """The sections somebody likes, by address."""
    return web.site.stored(f"a:{visitor}").affinities.get("section", Affinity(0)).weights


def chance(record: DecisionRecord, arm: str) -> float:
    (weight,) = (each.weight for each in record.eligible() if each.arm == arm)
    return weight / 2**32
