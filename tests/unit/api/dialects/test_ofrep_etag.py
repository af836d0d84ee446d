"""A 304 says: what you hold is right. Never is it said of another context, visitor, session or catalog."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Content
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.event import Track
from personalization.visitor.visitor_state import Holdout, Session, Sticky, VisitorState
from tests.contract.dialects.folding import folded
from tests.of_type import of_type
from tests.unit.api.dialects.evaluating import evaluate_all, serving
from tests.unit.api.site import NOW, SERVER, WRITE, Site, open_site

CONTEXTS: list[dict[str, Any]] = [
    {},
    {"plan": "pro"},
    {"plan": "free"},
    {"plan": None},
    {"plan": ["pro"]},
    {"n": 1},
    {"n": 1.5},
    {"n": 2**70},
    {"n": True},
    {"page": {"path": "/"}},
    {"page": {"path": "/a"}},
    {"userId": "u1"},
    {"userId": "u2"},
    {"locale": "de"},
    {"userAgent": 2**70},
    {"consent": {"ads": True}},
]


async def tag_of(site: Site, **terms: Any) -> str:
    response = await evaluate_all(site, **terms)
    assert response.status_code == 200
    return response.headers["etag"]


async def test_the_same_question_is_answered_once(site: Site) -> None:
    tag = await tag_of(site)
    n_records = len(site.spool.records)
    for conditional in (tag, f"W/{tag}", f'"other", {tag}'):
        response = await evaluate_all(site, conditional)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == tag
        assert "etag" in response.headers["access-control-expose-headers"]
        assert "content-length" not in response.headers
    assert len(site.spool.records) == n_records, "what nobody is told of is no decision"
    assert (await evaluate_all(site, '"other"')).status_code == 200
    assert (await evaluate_all(site, "*")).status_code == 200


async def test_no_context_is_ever_answered_by_the_tag_of_another(site: Site) -> None:
    tags = [await tag_of(site, **context) for context in CONTEXTS]
    assert len(set(tags)) == len(CONTEXTS)
    for (asked, context), (held, tag) in itertools.product(enumerate(CONTEXTS), enumerate(tags)):
        response = await evaluate_all(site, tag, **context)
        assert response.status_code == (304 if asked == held else 200), (context, CONTEXTS[held])


@pytest.mark.parametrize(
    "other",
    [
        {"targeting_key": "a2"},
        {"headers": SERVER},
        {"headers": {**WRITE, "Sec-GPC": "1"}},
        {"headers": {**WRITE, "User-Agent": "Mozilla/5.0 (iPhone)"}},
        {"headers": {**WRITE, "User-Agent": "Mozilla/5.0", "Accept-Language": "de"}},
    ],
    ids=str,
)
async def test_no_other_caller_is(site: Site, other: dict[str, Any]) -> None:
    site.compiled = serving(Content(body="only"))  # the very same content for everybody
    assert (await evaluate_all(site, await tag_of(site), **other)).status_code == 200


def next_session(site: Site) -> None:
    site.visitors.states["a:a1"].session = Session(8, NOW - 10, NOW - 10)


def next_catalog(site: Site) -> None:
    site.compiled = compile_catalog(site.compiled.catalog, 99)


def other_trait(site: Site) -> None:
    site.visitors.states["a:a1"].traits["first_name"] = "Bob"


def other_choice(site: Site) -> None:
    site.visitors.states["a:a1"].sticky["flag/0"] = Sticky("another", "c0", 2**31, NOW)


@pytest.mark.parametrize("change", [next_session, next_catalog, other_trait, other_choice])
async def test_nor_the_same_one_after_what_may_have_changed_the_answer(
    site: Site, change: Callable[[Site], None]
) -> None:
    site.compiled = serving(Content(type="html", body="Hi {{traits.first_name|you}}"))
    site.visitors.states["a:a1"] = VisitorState(
        traits={"first_name": "Ada"},
        session=Session(7, NOW - 1_000, NOW - 1_000),
        sticky={"flag/0": Sticky("first", "c0", 2**31, NOW - 900)},
    )
    tag = await tag_of(site)
    assert (await evaluate_all(site, tag)).status_code == 304
    change(site)
    assert (await evaluate_all(site, tag)).status_code == 200


@pytest.mark.parametrize("terms", [{"holdout": 0.5}, {"when": "n_orders > 0"}])
async def test_what_is_served_without_a_draw_is_no_reason_to_send_it_all_again(
    site: Site, terms: dict[str, Any]
) -> None:
    site.compiled = serving(Content(body=1), Content(body=2), **terms)
    site.visitors.states["a:a1"] = VisitorState(holdouts={"flag": Holdout(True, NOW)})
    tag = await tag_of(site)
    assert (await evaluate_all(site, tag)).status_code == 304
    assert len(site.spool.decisions()) == 1


async def test_a_poll_after_the_fold_is_answered_as_one_before_it(site: Site) -> None:
    tag = await tag_of(site)
    assert (await evaluate_all(site, tag)).status_code == 304
    site.visitors.states["a:a1"] = folded(site).visitors["a:a1"].state
    assert (await evaluate_all(site, tag)).status_code == 304


async def test_polling_prolongs_no_session_and_shows_nothing(site: Site) -> None:
    await evaluate_all(site)
    state = folded(site).visitors["a:a1"].state
    assert (state.exposures, state.session.last_ms, state.session.n_events) == ({}, state.session.started_ms, 0)


async def test_words_on_consent_are_recorded_whatever_is_held(site: Site) -> None:
    refused = {"personalization": False}
    tag = await tag_of(site, consent=refused)
    async with open_site() as another:  # a process that has not heard of them
        assert (await evaluate_all(another, tag, consent=refused)).status_code == 304
        ((key, entry),) = another.spool.entries()
    assert (key, of_type(Track, entry.event).properties) == ("a:a1", refused)


async def test_another_version_of_the_same_contents_is_another_answer(site: Site) -> None:
    tag = await tag_of(site)
    hero = structs.replace(site.compiled.catalog.placements["home.hero"], window_ms=60_000)
    placements = {**site.compiled.catalog.placements, "home.hero": hero}
    site.compiled = compile_catalog(structs.replace(site.compiled.catalog, placements=placements), 13)
    assert (await evaluate_all(site, tag)).status_code == 200
