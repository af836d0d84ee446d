"""Ids: what is one, what is nobody's, and numbers."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import pytest

from personalization.events.decision_id import key_of
from personalization.events.event import Group, Link, Page
from personalization.visitor.visitor_key import NOBODY
from tests.of_type import of_type
from tests.unit.api.site import ID_KEY, NOW, SERVER, WRITE, Site

NOBODYS = [
    "undefined", "null", "None", "NaN", "0", "true", "false", "[object Object]", "anonymous", "guest",
    "anonymousId", "userId", str(uuid.UUID(int=0)), "0" * 32, "00", "UNDEFINED", "Null", "nan", "TRUE", "Guest",
    "[OBJECT OBJECT]", "pk_dev",
]  # fmt: skip
SOMEBODYS = ["1", "10", "01", "nullius", "undefined1", "guest-7", "PK_DEV", "00000000-0000-0000-0000-000000000001"]


def page(**ids: Any) -> dict[str, Any]:
    return {"type": "page", "messageId": "m1", **ids}


def counted(site: Site, source: str = "web") -> float:
    return site.metrics.registry.get_sample_value("nextbest_degenerate_ids_total", {"source": source}) or 0


@pytest.mark.parametrize("name", ["anonymousId", "userId"])
@pytest.mark.parametrize("nobodys", NOBODYS)
async def test_an_event_of_nobodys_is_rejected_with_a_sentence(site: Site, nobodys: Any, name: str) -> None:
    response = await site.collect(page(anonymousId="a1"), page(**{name: nobodys}))
    (rejected,) = response.json()["rejected"]
    assert (rejected["index"], rejected["field"], rejected["code"]) == (1, f"events[1].{name}", "degenerate_id")
    assert "nobody's id" in rejected["message"]
    assert response.json()["warnings"] == []
    assert [key for key, _ in site.entries()] == ["a:a1"]
    assert counted(site) == 1


@pytest.mark.parametrize("somebodys", SOMEBODYS)
async def test_what_only_resembles_one_is_an_id(site: Site, somebodys: Any) -> None:
    assert (await site.collect(page(anonymousId=somebodys))).json()["accepted"] == 1
    assert [key for key, _ in site.entries()] == [f"a:{somebodys}"]
    assert counted(site) == 0


@pytest.mark.parametrize(
    ("ids", "key"),
    [
        ({"userId": "u1", "anonymousId": "undefined"}, "u:u1"),
        ({"userId": "null", "anonymousId": "a1"}, "a:a1"),
        ({"userId": 0, "anonymousId": "a1"}, "a:a1"),
    ],
)
async def test_beside_a_good_id_only_the_one_that_is_none_is_dropped(
    site: Site, ids: dict[str, Any], key: str
) -> None:
    answer = (await site.collect(page(**ids))).json()
    assert answer["accepted"] == 1
    (warning,) = answer["warnings"]
    assert (warning["index"], warning["code"]) == (0, "degenerate_id")
    assert warning["field"] in ("events[0].userId", "events[0].anonymousId")
    ((logged_key, entry),) = site.entries()
    assert logged_key == key, "and no link"
    event = of_type(Page, entry.event)
    assert {event.user_id, event.anonymous_id} == {None, key[2:]}


async def test_an_alias_to_nobody_is_rejected(site: Site) -> None:
    response = await site.collect({"type": "alias", "userId": "u1", "previousId": "undefined"})
    assert response.status_code == 400
    assert response.json()["field"] == "events[0].previousId"
    assert site.log.records == []


async def test_a_message_id_that_is_none_is_made(site: Site) -> None:
    """Else all events but the first of each visitor would be taken for repeats of it."""
    await site.collect(*(page(anonymousId="a1", messageId="undefined") for _ in range(3)))
    assert len({of_type(Page, entry.event).message_id for _, entry in site.entries()} - {"undefined"}) == 3


@pytest.mark.parametrize("nobodys", NOBODYS)
@pytest.mark.parametrize("name", ["anonymousId", "userId"])
async def test_a_decide_for_nobody_is_answered_and_not_logged(site: Site, nobodys: Any, name: str) -> None:
    response = await site.decide(
        visitor={name: nobodys}, events=[{"type": "page"}, {"type": "page", name: nobodys}]
    )
    assert response.status_code == 200
    body = response.json()
    (decision,) = body["decisions"]
    assert decision["content"]
    assert decision["tier"] == "contextual"
    assert key_of(ID_KEY, decision["decisionId"]) == NOBODY
    assert body["stateRevision"] is None
    fields = [(warning["field"], warning["code"]) for warning in body["warnings"]]
    assert fields == [
        (f"visitor.{name}", "degenerate_id"),
        (f"events[1].{name}", "degenerate_id"),
        ("events[0]", "missing_visitor"),
        ("events[1]", "missing_visitor"),
    ]
    assert site.spool.records == []
    assert site.visitors.asked == []


async def test_nobodys_are_not_all_on_one_side_of_a_holdout(site: Site) -> None:
    """Who is nobody has no side: what they are served tells nothing of what personalising is worth."""
    answers = [(await site.decide(visitor={"userId": "null"})).json()["decisions"][0] for _ in range(40)]
    assert not any(answer["holdout"] for answer in answers)
    assert len({answer["contentId"] for answer in answers}) > 1


async def test_a_decide_with_one_good_id_is_that_visitors(site: Site) -> None:
    body = (await site.decide(visitor={"anonymousId": "a1", "userId": "undefined"})).json()
    assert [warning["field"] for warning in body["warnings"]] == ["visitor.userId"]
    assert [key for key, _ in site.spool.entries()] == ["a:a1"]
    assert site.visitors.asked == [("a:a1",)]


async def test_an_event_sent_along_says_who_the_visitor_is(site: Site) -> None:
    events = [{"type": "page"}, {"type": "page", "anonymousId": "a1"}]
    body = (await site.decide(visitor={"anonymousId": "undefined"}, events=events)).json()
    assert body["decisions"][0]["tier"] == "personalised"
    assert [key for key, _ in site.spool.entries()] == ["a:a1"] * 3


@pytest.mark.parametrize("visitor", [{}, {"anonymousId": None}, {"anonymousId": "", "userId": None}])
async def test_a_decide_that_names_no_id_at_all_is_refused(site: Site, visitor: dict[str, str | None]) -> None:
    response = await site.decide(visitor=visitor)
    assert (response.status_code, response.json()["code"]) == (400, "missing_visitor")


@pytest.mark.parametrize(
    "consent", [{"personalization": False}, {"*": False}, {"Personalization": False, "ads": True}]
)
async def test_who_refused_to_be_known_is_decided_for_without_an_id(site: Site, consent: dict[str, bool]) -> None:
    response = await site.decide(visitor={}, context={"consent": consent})
    assert (response.status_code, response.json()["warnings"]) == (200, [])
    assert response.json()["decisions"][0]["contentId"] in {"shoes", "tents", "bags"}
    assert (site.spool.entries(), site.visitors.asked, counted(site)) == ([], [], 0)


@pytest.mark.parametrize("consent", [{}, {"personalization": True}, {"ads": False}, "no"])
async def test_who_did_not_refuse_is_asked_for_an_id(site: Site, consent: Any) -> None:
    response = await site.decide(visitor={}, context={"consent": consent})
    assert (response.status_code, response.json()["code"]) == (400, "missing_visitor")


async def test_ids_that_are_none_are_counted_by_source_and_told_once_an_hour(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await site.collect(page(anonymousId="undefined"))
        await site.decide(visitor={"userId": "null"}, headers={"X-API-Key": "pk_strict"})
    assert (counted(site), counted(site, "strict")) == (3, 1)
    told = [
        (vars(record)["source"], vars(record)["field"])
        for record in caplog.records
        if record.msg == "degenerate_id"
    ]
    assert told == [("web", "events[0].anonymousId"), ("strict", "visitor.userId")]


def test_the_log_is_told_again_after_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    from api.process.metrics import ApiMetrics
    from api.reading.ids import LOG_EVERY_MS, DegenerateIds

    ids = DegenerateIds(ApiMetrics().degenerate_ids)
    with caplog.at_level(logging.WARNING):
        for now_ms in (NOW, NOW + LOG_EVERY_MS - 1, NOW + LOG_EVERY_MS, NOW + LOG_EVERY_MS + 1):
            ids.note("web", "userId", now_ms)
    assert len(caplog.records) == 2


NUMBERS = [
    (7, "7"),
    (-7, "-7"),
    (2**53 + 1, "9007199254740993"),
    (2**64, "18446744073709551616"),
    (10**40, f"1{'0' * 40}"),
]


@pytest.mark.parametrize(("number", "digits"), NUMBERS)
async def test_a_number_is_the_same_id_as_its_digits(site: Site, number: int, digits: str) -> None:
    await site.collect(page(userId=number), page(userId=digits))
    await site.collect({"type": "alias", "userId": number, "previousId": number})
    await site.collect({"type": "group", "anonymousId": number, "groupId": number, "messageId": number})
    entries = site.entries()
    assert [key for key, _ in entries] == [f"u:{digits}"] * 3 + [f"a:{digits}"] * 2
    assert entries[3][1].event == Link(canonical=f"u:{digits}")
    group = of_type(Group, entries[4][1].event)
    assert (group.group_id, group.message_id) == (digits, digits)


@pytest.mark.parametrize(("number", "digits"), NUMBERS)
async def test_a_decide_takes_numbers_as_ids(site: Site, number: int, digits: str) -> None:
    await site.decide(visitor={"userId": number, "anonymousId": digits})
    assert site.visitors.asked == [(f"u:{digits}", f"a:{digits}")]


@pytest.mark.parametrize("bad", [7.5, True, False, 7.0, 10**300])
@pytest.mark.parametrize("name", ["userId", "anonymousId", "messageId"])
async def test_what_is_neither_text_nor_a_whole_number_is_refused_with_a_sentence(
    site: Site, bad: Any, name: str
) -> None:
    response = await site.collect({**page(anonymousId="a1"), name: bad})
    assert (response.status_code, response.json()["field"]) == (400, f"events[0].{name}")
    assert response.json()["code"] in ("bad_id", "too_long")
    if name != "messageId":
        refused = await site.decide(visitor={name: bad})
        assert (refused.status_code, refused.json()["field"]) == (400, f"visitor.{name}")


@pytest.mark.parametrize("bad", [b"1e999", b"9" * 5_000])
async def test_numbers_no_machine_holds_are_refused(site: Site, bad: bytes) -> None:
    body = b'{"type":"page","userId":%s}' % bad
    response = await site.client.post("/v1/events", content=body, headers=WRITE)
    assert (response.status_code, response.json()["field"]) == (400, "userId")


async def test_a_server_key_as_an_id_is_nobodys_either(site: Site) -> None:
    response = await site.client.post("/v1/events", json=page(userId="sk_dev"), headers=SERVER)
    assert response.status_code == 400
    assert "sk_dev" not in response.text
