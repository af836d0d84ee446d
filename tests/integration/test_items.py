"""Items through real servers: a newspaper's articles come and go without a new version of the catalog."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Iterator
from typing import Any

import pytest

from personalization.events.decision_record import DecisionRecord, decode_record
from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  teasers:
    tags: [teaser]
    content: [house-ad]
    default: house-ad
    policy: uniform
    rewards: [{event: Clicked}]
    window: 1s
content:
  house-ad: {type: html, body: <p>subscribe</p>}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


def shown(site: Site, n: int = 40) -> set[str]:
    """What ``n`` visitors are shown, each chosen evenly."""
    return {site.decide({"anonymousId": f"{time.monotonic_ns()}-{i}"}, "teasers")["contentId"] for i in range(n)}


def refusal(site: Site, method: str, path: str, body: Any = None, key: str = "sk_dev") -> int:
    """The status of a call that is refused."""
    try:
        site.up.call(method, path, body, key)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    raise AssertionError("it was taken")


def article(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "html", "body": f"<p>{text}</p>", "tags": ["teaser"], "features": {"section": "sport"}, **more}


def test_an_article_comes_changes_and_goes_within_a_second(site: Site) -> None:
    assert shown(site, 5) == {"house-ad"}
    put = site.up.call("PUT", "/v1/content/derby", article("derby"))
    assert (put["revision"], put["inStock"], put["features"]) == (1, True, {"section": "sport"})
    began = time.monotonic()
    until(lambda: "derby" in shown(site), "it is shown")
    assert time.monotonic() - began < 5, "the clock of a busy machine; it takes a fifth of a second"
    site.up.call("PATCH", "/v1/content/derby", {"inStock": False})
    until(lambda: shown(site) == {"house-ad"}, "it is out of stock")
    site.up.call("PATCH", "/v1/content/derby", {"inStock": None, "body": "<p>derby won</p>"})
    until(lambda: "derby" in shown(site), "it is back")
    assert site.up.call("GET", "/v1/content/derby")["body"] == "<p>derby won</p>"
    site.up.call("PATCH", "/v1/content/derby", {"ends": "2020-01-01T00:00:00Z"})
    until(lambda: shown(site) == {"house-ad"}, "it has ended")
    site.up.call("DELETE", "/v1/content/derby")
    assert refusal(site, "GET", "/v1/content/derby") == 404


def test_what_is_shown_of_an_item_is_rewarded_learned_and_recorded_with_its_features(site: Site) -> None:
    site.up.call("PUT", "/v1/content/final", article("final"))
    until(lambda: "final" in shown(site), "it is shown")
    n = 0
    while True:
        n += 1
        visitor = {"anonymousId": f"reader-{n}"}
        decided = site.decide(visitor, "teasers")
        if decided["contentId"] == "final":
            break
    site.collect({"type": "track", "event": "Clicked", "properties": {"contentId": "final"}, **visitor})
    until(lambda: decided["decisionId"] in site.outcomes("teasers"), "its window closed")
    outcome = site.outcomes("teasers")[decided["decisionId"]]
    assert (outcome.choice.arm, outcome.reward, outcome.arm_features) == ("final", 1.0, {"section": "sport"})
    records = [decode_record(value) for _, _, value in site.raw("decisions")]
    (record,) = [each for each in records if each.choice.decision_id == decided["decisionId"]]
    assert isinstance(record, DecisionRecord)
    assert record.arms == ("house-ad", "final")
    assert record.arm_features == {"final": {"section": "sport"}}
    until(lambda: site.learned("teasers")[0] > 0, "the model learned of it")


def test_many_at_once_and_a_bad_one_is_refused_alone(site: Site) -> None:
    sent = [{"id": f"n{i}", **article(f"news {i}")} for i in range(50)]
    sent[7] = {"id": "n7", "type": "html", "body": 7}
    sent[9] = {"id": "house-ad", **article("another")}
    sent[11] = {"id": "n11", **article("when", ends="tomorrow")}
    sent[13] = article("nameless")
    done = site.up.call("POST", "/v1/content", {"items": sent})
    assert done["accepted"] == 46
    assert [(each["index"], each["field"], each["message"]) for each in done["rejected"]] == [
        (7, "items[7].body", "must be text for html; send type json for anything else"),
        (9, "items[9].id", "'house-ad' is a content of the catalog; choose another id"),
        (
            11,
            "items[11].ends",
            "is no time; send ISO 8601, e.g. 2026-01-31T12:00:00.000Z, or milliseconds since 1970",
        ),
        (13, "items[13].id", "is missing"),
    ]
    until(lambda: {"n0", "n49"} <= shown(site, 400), "they are shown")


_NO_TIME = "is no time; send ISO 8601, e.g. 2026-01-31T12:00:00.000Z, or milliseconds since 1970"


@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/content/mine"), ("POST", "/v1/content")])
def test_a_write_key_changes_no_item(site: Site, method: str, path: str) -> None:
    assert refusal(site, method, path, article("mine"), "pk_dev") == 403
