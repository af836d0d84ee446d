"""What an operator is told of a visitor: windows, session, exposures, caps, and why a segment has them or not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from personalization.audience.profile import apply_event
from personalization.catalog.catalog import Cap
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.events.event import Track
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import Exposure, Session, VisitorState
from tests.unit.api.site import NOW, SERVER, Site, open_site, shop


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site() as opened:
        catalog = shop()
        content = {
            **catalog.content,
            "tents": structs.replace(
                catalog.content["tents"], cap=(Cap(limit=3, per="day"), Cap(limit=9, per="visitor"))
            ),
        }
        segments = {"buyers": "n_orders > 0", "keen": 'known || count("Viewed", within="7d") >= 2'}
        features = ('min(count("Viewed", within="1d"), 5)',)
        opened.compiled = compile_catalog(
            structs.replace(catalog, content=content, segments=segments, features=features), 12
        )
        yield opened


def somebody(site: Site) -> VisitorState:
    state = VisitorState(event_count=1)
    viewed = Track(message_id="m", event="Viewed")
    apply_event(state, viewed, NOW - 2 * DAY_MS, NOW - 2 * DAY_MS, site.compiled)
    state.session = Session(4, NOW - 10 * MINUTE_MS, NOW - MINUTE_MS, 5, 2)
    state.exposures = {
        "tents": Exposure(7, NOW // DAY_MS, 2, 1, NOW - 2 * MINUTE_MS),
        "shoes": Exposure(1, NOW // DAY_MS - 1, 1, 1, NOW - DAY_MS),
    }
    site.visitors.states["a:a1"] = state
    return state


async def told(site: Site) -> dict[str, Any]:
    somebody(site)
    found: dict[str, Any] = (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()
    return found


async def test_a_segment_is_told_with_why_somebody_is_not_in_it(site: Site) -> None:
    visitor = await told(site)
    assert visitor["segments"] == [name for name, why in visitor["segmentReasons"].items() if why["holds"]] == []
    assert visitor["segmentReasons"]["buyers"] == {
        "holds": False,
        "whyUnknown": None,
        "rule": "n_orders > 0",
        "values": {"n_orders": 0},
        "failing": ["n_orders > 0 does not hold: n_orders is 0"],
    }
    assert len(visitor["segmentReasons"]["keen"]["failing"]) == 2


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("device == 'mobile'", "device"),
        ("device != 'mobile'", "device"),
        ("n_orders > 0 && hour >= 0 && weekday < 8", "hour, weekday"),
        ("has(context.campaign)", "context"),
    ],
)
async def test_of_a_segment_that_only_a_request_tells_nothing_is_claimed(site: Site, rule: str, named: str) -> None:
    catalog = structs.replace(site.compiled.catalog, segments={"buyers": "n_orders > 0", "those": rule})
    site.compiled = compile_catalog(catalog, 13)
    somebody(site).n_orders = 1
    visitor = (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()
    why = visitor["segmentReasons"]["those"]
    assert (why["holds"], why["failing"]) == (None, [])
    assert why["whyUnknown"] == f"its rule looks at {named}, which only a request of the visitor tells"
    assert visitor["segments"] == ["buyers"]


async def test_who_refused_is_in_no_segment_and_told_nothing_of_any(site: Site) -> None:
    state = VisitorState(event_count=1, n_orders=2)
    site.visitors.states["a:a1"] = state
    assert (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()["segments"] == ["buyers"]
    state.consents = {"personalization": Word(False, NOW)}
    found = (await site.client.get("/v1/visitors/a1", headers=SERVER)).json()
    assert (found["segments"], found["segmentReasons"]) == ([], {})


async def test_a_window_is_told_with_its_number_and_when_it_changes(site: Site) -> None:
    rule, feature = (await told(site))["windows"]
    assert rule == {
        "window": 'count("Viewed", within="7d") >= 2',
        "event": "Viewed",
        "kind": "count",
        "value": 1,
        "atLeast": False,
        "holds": False,
        "changesMs": None,
    }
    assert feature["window"] == 'min(count("Viewed", within="1d"), 5)'
    assert (feature["value"], feature["holds"]) == (0, None)


async def test_the_session_is_told_with_when_it_ends(site: Site) -> None:
    assert (await told(site))["session"] == {
        "number": 4,
        "sinceMs": NOW - 10 * MINUTE_MS,
        "untilMs": NOW + 29 * MINUTE_MS,
        "nEvents": 5,
        "nViews": 2,
    }
    site.now_ms = NOW + 29 * MINUTE_MS + 1
    assert (await told(site))["session"] is None


async def test_exposures_are_told_by_day_session_and_in_all(site: Site) -> None:
    tents, shoes = (await told(site))["exposures"]
    assert (tents["name"], tents["total"], tents["today"], tents["inSession"]) == ("tents", 7, 2, 1)
    assert (shoes["name"], shoes["total"], shoes["today"], shoes["inSession"]) == ("shoes", 1, 0, 0)


async def test_a_cap_is_told_with_what_it_leaves(site: Site) -> None:
    caps = (await told(site))["caps"]
    assert [(cap["content"], cap["per"], cap["shown"], cap["left"]) for cap in caps] == [
        ("tents", "day", 2, 1),
        ("tents", "visitor", 7, 2),
    ]
