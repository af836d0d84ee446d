"""What Metarank's documentation sends, against real servers: items are known, rankings shown, clicks learned."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.evaluated import exposures, records
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  films:
    arms: caller
    slots: 2
    window: 1h
    rewards: [{event: click, value: 1}]
  theme: {content: [free, pro], default: free}
content:
  free: {body: {plan: free}, when: 'traits.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'traits.plan == "pro"'}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
ITEMS = ["72998", "589", "134130", "5459"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


_numbers = itertools.count(1)


@pytest.fixture
def user() -> str:
    return f"user-{next(_numbers)}"


def told(site: Site, **event: Any) -> None:
    answer = site.call("/feedback", event, "sk_dev")
    assert (answer["accepted"], answer["status"]) == (1, "ok")
    assert "rejected" not in answer


def ranked(site: Site, user: str, explain: bool = False) -> list[dict[str, Any]]:
    body = {"id": f"ranking-{user}", "user": user, "session": "s", "timestamp": 1661431894711,
            "fields": [{"name": "query", "value": "jeans"}],
            "items": [{"id": item, "fields": [{"name": "relevancy", "value": 1.0}]} for item in ITEMS]}  # fmt: skip
    answer = site.call(f"/rank/films?explain={str(explain).lower()}", body, "sk_dev")
    items: list[dict[str, Any]] = answer["items"]
    return items


def test_what_a_user_event_says_is_known_to_the_next_decision(site: Site, user: str) -> None:
    fields = [{"name": "plan", "value": "pro"}]
    told(site, event="user", id=f"e-{user}", timestamp="1599391467000", user=user, fields=fields)
    until(lambda: site.state(f"u:{user}").traits == {"plan": "pro"}, "the traits are folded")
    assert site.decide({"userId": user}, "theme", "sk_dev")["contentId"] == "pro"


def test_a_ranking_is_shown_and_a_click_in_it_rewards_its_item_once(site: Site, user: str) -> None:
    shown = ranked(site, user)
    assert {each["item"] for each in shown} == set(ITEMS)
    told(site, event="ranking", id=f"ranking-{user}", user=user, session="s", timestamp=1661431894711,
         items=[{"id": each["item"]} for each in shown])  # fmt: skip
    first, second = shown[0]["item"], shown[1]["item"]
    until(lambda: exposures(site, f"u:{user}") == {first: 1, second: 1}, "what was drawn and shown is exposed")
    for _ in range(2):
        told(site, event="interaction", id=f"click-{user}", ranking=f"ranking-{user}", user=user, type="click",
             item=second, timestamp=1661431894711)  # fmt: skip
    told(site, event="interaction", id=f"click-{user}-3", ranking=f"ranking-{user}", user=user, type="click",
         item=shown[2]["item"], timestamp=1661431894711)  # fmt: skip
    until(lambda: site.state(f"u:{user}").event_count == 4, "two were shown, and two clicks told of")
    decided = {record.choice.arm: record.choice for record in records(site, f"u:{user}")}
    for item in (first, second):
        path = f"/v1/decisions/{decided[item].decision_id}/reward"
        site.call(path, {"value": 0.0, "final": True}, "sk_dev")
    until(lambda: len(site.outcomes("films")) == 2, "both are closed")
    rewards = {each.choice.arm: (each.reward, each.trains) for each in site.outcomes("films").values()}
    assert rewards == {first: (0.0, True), second: (1.0, True)}


def test_what_is_told_of_an_item_is_known_of_it_in_rankings(site: Site, user: str) -> None:
    fields = [{"name": "color", "value": ["white", "black"]}, {"name": "is_cute", "value": True}]
    told(site, event="item", id="e1", timestamp="1599391467000", item="589", fields=fields)

    def known() -> dict[str, Any]:
        (item,) = [each for each in ranked(site, user, explain=True) if each["item"] == "589"]
        return {each["name"]: each["value"] for each in item["features"] if each["name"] != "probability"}

    of_both = {"color.white": 1.0, "color.black": 1.0, "is_cute": 1.0, "relevancy": 1.0}
    until(lambda: known() == of_both, "the item is at hand")
