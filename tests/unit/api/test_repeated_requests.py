"""A decide sent again under its own request id is the same decide: same answer, nothing counted twice."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.entry import Position
from personalization.events.event import DecisionMade, Page
from personalization.folding.fold import fold
from personalization.folding.folded import Status
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type
from tests.unit.api.site import NOW, WRITE, Site, shop


@pytest.fixture
def sticky(site: Site) -> Site:
    """The site's list keeps its choices; its hero draws anew each time."""
    catalog: Catalog = shop()
    kept = structs.replace(catalog.placements["home.list"], sticky=True)
    changed = structs.replace(catalog, placements={**catalog.placements, "home.list": kept})
    site.compiled = compile_catalog(changed, 12)
    return site


class Folder:
    """Folds what stands in the site's spool, each record once, as a worker would."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.visitors: dict[str, Visitor] = {}
        self.n_folded = 0

    def fold(self) -> list[Status]:
        found = []
        for key, entry in self.site.spool.entries()[self.n_folded :]:
            visitor = self.visitors.setdefault(key, Visitor.new())
            found.append(fold(visitor, key, Position(1, self.n_folded), entry, self.site.compiled).status)
            self.n_folded += 1
        return found

    def show(self) -> None:
        """What was folded is what the decider reads from now on."""
        for key, visitor in self.visitors.items():
            self.site.visitors.states[key] = structs.replace(visitor.state)


def chosen(answer: dict[str, Any]) -> list[tuple[str, int, str, str, float]]:
    return [
        (d["placement"], d["slot"], d["decisionId"], d["contentId"], d["probability"]) for d in answer["decisions"]
    ]


async def test_the_same_request_id_gives_the_same_answer_and_no_second_exposure(sticky: Site) -> None:
    folder = Folder(sticky)
    event = {"type": "page", "name": "Home"}

    async def ask() -> dict[str, Any]:
        response = await sticky.decide("home.hero", "home.list", requestId="r-1", events=[event])
        answer: dict[str, Any] = response.json()
        return answer

    first = await ask()
    assert first["requestId"] == "r-1"
    assert folder.fold() == [Status.APPLIED] * 4
    exposed = {arm: each.total for arm, each in folder.visitors["a:a1"].state.exposures.items()}
    again = await ask()
    assert chosen(again) == chosen(first)
    assert folder.fold() == [Status.DUPLICATE] * 4
    folder.show()
    with_state = await ask()
    assert chosen(with_state) == chosen(first), "kept choices too, which are drawn no more"
    assert folder.fold() == [Status.DUPLICATE] * 4
    state = folder.visitors["a:a1"].state
    assert {arm: each.total for arm, each in state.exposures.items()} == exposed
    assert state.event_count == 1


async def test_a_repeat_of_a_kept_choice_counts_once_too(sticky: Site) -> None:
    folder = Folder(sticky)
    await sticky.decide("home.list")
    folder.fold()
    folder.show()
    for request_id, statuses in (
        ("r-1", [Status.APPLIED] * 2),
        ("r-1", [Status.DUPLICATE] * 2),
        ("r-2", [Status.APPLIED] * 2),
    ):
        answer = (await sticky.decide("home.list", requestId=request_id)).json()
        assert all("kept" in decision["reason"] for decision in answer["decisions"])
        assert folder.fold() == statuses


async def test_other_ids_visitors_and_calls_without_one_are_other_requests(site: Site) -> None:
    asked: list[dict[str, Any]] = [
        {"requestId": "r-1"}, {"requestId": "r-2"}, {"requestId": "r-1", "visitor": {"anonymousId": "a2"}},
        {"requestId": "r-1", "visitor": {"userId": "a1"}}, {}, {},
    ]  # fmt: skip
    ids = [(await site.decide(**body)).json()["decisions"][0]["decisionId"] for body in asked]
    assert len({decision_id[12:24] for decision_id in ids}) == len(asked), "not even their nonces are equal"


async def test_placements_and_slots_keep_their_ids_whatever_stands_beside_them(site: Site) -> None:
    both = (await site.decide("home.hero", "home.list", requestId="r-1")).json()["decisions"]
    assert len({decision["decisionId"] for decision in both}) == 3
    (alone,) = (await site.decide("home.hero", requestId="r-1")).json()["decisions"]
    assert alone["decisionId"] == both[0]["decisionId"]


async def test_a_server_without_the_secret_cannot_tell_the_draws(site: Site) -> None:
    """The ids a caller chooses name the draws, and do not decide them: they are spread as any others are."""
    seen = [(await site.decide(requestId=f"r-{n}")).json()["decisions"][0]["contentId"] for n in range(60)]
    assert set(seen) == {"shoes", "tents", "bags"}
    assert max(seen.count(arm) for arm in set(seen)) < 40


async def test_request_ids_that_are_none_are_no_request_ids(site: Site) -> None:
    ids = set()
    for request_id in ("undefined", "", None, "null"):
        body = (await site.decide(requestId=request_id)).json()
        assert body["requestId"] != request_id
        ids.add(body["decisions"][0]["decisionId"])
    assert len(ids) == 4


async def test_numbers_and_beacons_have_request_ids_too(site: Site) -> None:
    first = (await site.decide(requestId=7)).json()
    beacon = await site.client.get("/v1/decide?visitor=a1&placement=home.hero&requestId=7&key=pk_dev")
    assert beacon.json()["requestId"] == first["requestId"] == "7"
    assert beacon.json()["decisions"] == first["decisions"]
    too_long = await site.decide(requestId="x" * 257)
    assert (too_long.status_code, too_long.json()["field"]) == (400, "requestId")


async def test_events_sent_along_keep_message_ids_of_their_own(site: Site) -> None:
    events = [{"type": "page", "messageId": "mine"}, {"type": "page"}]
    for _ in range(2):
        await site.decide(requestId="r-1", events=events)
    ids = [
        of_type(Page, entry.event).message_id
        for _, entry in site.spool.entries()
        if not isinstance(entry.event, DecisionMade)
    ]
    assert ids[:2] == ids[2:]
    assert ids[0] == "mine"


async def test_a_decide_for_a_known_visitor_repeats_as_well(site: Site) -> None:
    site.visitors.states["a:a1"] = VisitorState(revision=3, now_ms=NOW)
    first, again = [(await site.decide(requestId="r-1", headers=WRITE)).json() for _ in range(2)]
    assert chosen(first) == chosen(again)
