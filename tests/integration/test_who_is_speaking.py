"""Rule *Who is speaking* through real servers: what a stranger gets by a page's key, and what a proof does."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from personalization.events.event import DecisionMade
from tests.integration.site import NAMESPACE, Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  greeting:
    content: [hello]
    default: hello
content:
  hello: {type: html, body: "<p>{{traits.first_name|stranger}} of {{traits.city|nowhere}}</p>"}
sources:
  page:
    write_keys: [pk_page]
    server_keys: [sk_dev]
    consent_default: granted
    verify_users: true
"""
USER, NAME, CITY = "jane@shop.example", "Jane", "Leeds"
KEY = f"u:{USER}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


@pytest.fixture(scope="module")
def user_hash(site: Site) -> str:
    """As a site's developer gets it to compare with."""
    return site.command("keys", "identity", "page", USER).strip()


@pytest.fixture(scope="module", autouse=True)
def known(site: Site) -> None:
    """The site's own server knows her."""
    traits = {"first_name": NAME, "city": CITY}
    site.collect({"type": "identify", "userId": USER, "traits": traits}, key="sk_dev")
    until(lambda: site.state(KEY).traits == traits, "she is known")


def shown(site: Site, visitor: dict[str, Any], **more: Any) -> str:
    return str(site.decide(visitor, "greeting", "pk_page", **more)["content"]["html"])


def refused(site: Site, path: str, body: dict[str, Any]) -> str:
    with pytest.raises(urllib.error.HTTPError) as caught:
        site.call(path, body, "pk_page")
    assert caught.value.code == 400
    return str(json.loads(caught.value.read())["code"])


def test_a_stranger_with_the_pages_key_gets_nothing_of_a_user(site: Site) -> None:
    before = site.state(KEY)
    named = {"userId": USER, "anonymousId": "stranger"}
    assert shown(site, named) == "<p>stranger of nowhere</p>"
    assert shown(site, named, context={"traits": {"first_name": "x"}}) == "<p>stranger of nowhere</p>"
    assert (
        refused(site, "/v1/decide", {"visitor": {"userId": USER}, "placements": ["greeting"]}) == "unverified_user"
    )
    query = urllib.parse.urlencode(
        {"visitor": "stranger", "userId": USER, "placement": "greeting", "key": "pk_page"}
    )
    with urllib.request.urlopen(f"{site.up.url}/v1/decide?{query}", timeout=10) as answer:
        assert b"stranger of nowhere" in answer.read()
    asked = [
        site.call("/v1/decide", {"visitor": {**named, "userId": user}, "placements": []}, "pk_page")
        for user in (USER, "x")
    ]
    assert asked[0]["stateRevision"] == asked[1]["stateRevision"], "it does not tell whether she exists"
    for event in (
        {"type": "alias", "previousId": "stranger", "userId": USER},
        {"type": "track", "event": "Consent Updated", "properties": {"personalization": False}, "userId": USER},
    ):
        assert refused(site, "/v1/events", event) == "unverified_user"
        site.collect({**event, "anonymousId": "stranger"}, key="pk_page")
    site.collect({"type": "identify", **named, "traits": {"city": "Mine"}}, key="pk_page")
    flag = site.call(
        "/ofrep/v1/evaluate/flags/greeting", {"context": {"targetingKey": "stranger", "userId": USER}}, "pk_page"
    )
    assert flag["value"] == "<p>stranger of nowhere</p>"
    assert site.state(KEY).offset == before.offset, "not one entry of her log is theirs"
    assert site.state("a:stranger").redirect is None


def test_a_page_with_a_proof_speaks_for_its_user(site: Site, user_hash: str) -> None:
    named = {"userId": USER, "anonymousId": "laptop"}
    assert shown(site, {**named, "userHash": user_hash}) == f"<p>{NAME} of {CITY}</p>"
    until(lambda: site.state("a:laptop").redirect == KEY, "her browser is hers")
    assert site.state("a:laptop").proven_ms > 0
    assert [
        entry.event.choice.placement for entry in site.logged(KEY) if isinstance(entry.event, DecisionMade)
    ] == ["greeting"]
    n_before = site.state(KEY).event_count
    site.collect({"type": "track", "event": "Viewed", **named}, key="pk_page")
    assert site.state(KEY).event_count == n_before + 1, (
        "events of her browser are hers without a proof of their own"
    )
    assert shown(site, named) == "<p>stranger of nowhere</p>", "reading needs one"
    everything = b"".join(value for _, _, value in site.raw("visitor-log") + site.raw("decisions"))
    assert user_hash.encode() not in everything
    assert not [name for name in site.redis.scan_iter(f"{NAMESPACE}*") if user_hash.encode() in bytes(name)]


def test_a_browser_that_is_taken_away_is_nobodys(site: Site, user_hash: str) -> None:
    named = {"userId": USER, "anonymousId": "cafe"}
    site.collect({"type": "identify", **named, "userHash": user_hash}, key="pk_page")
    until(lambda: site.state("a:cafe").redirect == KEY, "the browser is hers")
    site.call("/v1/unlink", {"anonymousId": "cafe", "userId": USER}, "sk_dev")
    until(lambda: site.state("a:cafe").redirect is None, "the browser is nobody's")
    before = site.state(KEY).event_count
    site.collect({"type": "track", "event": "Viewed", **named}, key="pk_page")
    assert site.state("a:cafe").event_count == 1
    assert site.state(KEY).event_count == before


def test_proofs_of_another_secret_are_not_handed_out(site: Site) -> None:
    """A terminal that has not read the installation's secret would print what its servers never believe."""
    done = site.ran("keys", "identity", "page", USER, NEXTBEST_SECRET="s" * 32)
    assert (done.returncode, done.stdout) == (1, "")
    assert "another secret" in done.stderr
    assert "no 'shop'; there are: page" in site.ran("keys", "identity", "shop").stderr


def test_a_key_is_made_put_in_force_and_taken_out(site: Site) -> None:
    made = site.ran("keys", "create", "write")
    key = made.stdout.strip()
    assert key.startswith("pk_")
    (written,) = re.findall(r"in write_keys, write: '(sha256:[0-9a-f]{64})'", made.stderr)
    listed = site.command("keys", "list")
    assert "in the clear" in listed
    assert written[:19] not in listed
    site.publish(CATALOG.replace("[pk_page]", f"[pk_page, '{written}']"))
    until(lambda: answers(site, key), "the new key is in force")
    assert written[:19] in site.command("keys", "list")
    site.publish(CATALOG)
    until(lambda: not answers(site, key), "it is revoked")
    assert answers(site, "pk_page")


def answers(site: Site, key: str) -> bool:
    try:
        site.call("/v1/decide", {"visitor": {"anonymousId": "x"}, "placements": []}, key)
    except urllib.error.HTTPError as error:
        return error.code != 401
    return True
