"""Our own clients against real servers: what they show and tell is stored, once, whatever happens in between."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from nextbest_client import Answer, Decision, Visitor, Warned
from nextbest_client.wire import camel

from personalization.events.event import Rewarded, Track
from tests.clients.browser import chromium, page_in
from tests.clients.speaking_clients import Awaiting, InNode, Opening, Speaking, Waiting
from tests.clients.typescript import SOURCE, built, run
from tests.integration.site import Site
from tests.running import until
from tests.servers import ROOT
from tests.standing_still import stand_still

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero: {content: [red, green], default: red, window: 1h}
  theme: {content: [free, pro], default: free, window: 1h}
  home.hero: {content: [welcome], default: welcome, window: 1h}
content:
  welcome: {type: html, body: <h1>Run further</h1>}
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  free: {body: {plan: free}, when: 'traits.plan != "pro"'}
  pro: {body: {plan: pro}, when: 'traits.plan == "pro"'}
sources:
  site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
"""
PRO = {"type": "json", "json": {"plan": "pro"}}
KINDS = ("sync", "async", "node")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("typescript"))


@pytest.fixture(scope="module")
def clients(site: Site, typescript: Path) -> Iterator[dict[str, Speaking]]:
    """One of each for the whole module; none of them tells of errors unless a test makes some."""
    kinds: dict[str, Opening] = {"sync": Waiting, "async": Awaiting, "node": functools.partial(InNode, typescript)}
    quick = {"timeout_s": 10.0, "flush_every_s": 0.05, "first_pause_s": 0.05, "longest_pause_s": 0.5}
    opened = {name: kind(site.up.url, "sk_dev", **quick) for name, kind in kinds.items()}
    yield opened
    for client in opened.values():
        client.end()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(clients: dict[str, Speaking], kind: str) -> Speaking:
    return clients[kind]


def tracked(site: Site, visitor: str) -> list[str]:
    """What the log holds, in order; what was appended twice counts once, by its message id."""
    events = [event for event in site.events(f"a:{visitor}") if isinstance(event, Track)]
    return list({event.message_id: event.event for event in events}.values())


def test_what_was_told_is_known_to_the_next_decide_and_its_reward_is_learned(
    site: Site, client: Speaking, kind: str
) -> None:
    visitor = Visitor(anonymous_id=f"loop-{kind}")
    client.identify(visitor, {"plan": "pro"})
    assert client.flush()
    assert site.state(f"a:loop-{kind}").traits["plan"] == "pro"
    answer = client.decide(["hero", "theme"], visitor, default="nothing")
    assert (answer.error, answer["theme"].content, answer["theme"].tier) == (None, PRO, "personalised")
    hero = answer["hero"]
    assert hero.content == {"type": "html", "html": f"<p>{hero.content_id}</p>"}
    for _ in range(2):
        client.reward(hero, 1.0, name="", message_id=f"click-{kind}")
    client.reward(hero, 0.0, final=True)
    assert client.flush()
    assert hero.decision_id is not None
    until(lambda: hero.decision_id in site.outcomes("hero"), "the outcome is in the log")
    outcome = site.outcomes("hero")[hero.decision_id]
    assert (outcome.choice.arm, outcome.reward, outcome.trains) == (hero.content_id, 1.0, True)
    assert client.told() == []


def test_what_is_activated_later_was_seen_then_and_not_before(site: Site, client: Speaking, kind: str) -> None:
    visitor = Visitor(anonymous_id=f"later-{kind}")
    hero = client.decide("hero", visitor, activate=False)["hero"]
    client.page(visitor, "Home")
    assert client.flush()
    assert site.state(f"a:later-{kind}").exposures == {}
    client.activate(hero)
    assert client.flush()
    until(lambda: bool(site.state(f"a:later-{kind}").exposures), "the exposure is folded")
    seen = {arm: exposure.total for arm, exposure in site.state(f"a:later-{kind}").exposures.items()}
    assert seen[str(hero.content_id)] == 1


def test_events_that_go_with_a_decide_count_in_it_and_once(site: Site, client: Speaking, kind: str) -> None:
    visitor = Visitor(anonymous_id=f"along-{kind}")
    events = [{"type": "identify", "traits": {"plan": "pro"}}, {"type": "track", "event": "Opened"}]
    answers = [client.decide("theme", visitor, events=events, request_id=f"r-{kind}") for _ in range(2)]
    assert [answer["theme"].content for answer in answers] == [PRO] * 2
    assert answers[0]["theme"].decision_id == answers[1]["theme"].decision_id
    until(lambda: tracked(site, f"along-{kind}") == ["Opened"], "it is in the log")
    assert site.state(f"a:along-{kind}").event_count == 2


def test_what_the_server_says_is_wrong_reaches_the_caller_in_its_words(
    site: Site, client: Speaking, kind: str
) -> None:
    n_told = len(client.told())
    answer = client.decide(["hero", "nowhere"], Visitor(anonymous_id=f"wrong-{kind}"), default="<p>ours</p>")
    said = _refused(site, "/v1/decide", {"visitor": {"anonymousId": "w"}, "placements": ["hero", "nowhere"]})
    assert answer.error is not None
    assert (answer.error.code, answer.error.field, answer.error.message) == (
        said["code"],
        said["field"],
        said["message"],
    )
    assert answer.error.request_id
    assert {decision.content for decision in answer} == {"<p>ours</p>"}
    client.track(Visitor(), "Opened")
    assert client.flush()
    told = client.told()[n_told:]
    assert [(error.code, error.field) for error in told[1:]] == [("missing_visitor", "events[0].anonymousId")]


def _refused(site: Site, path: str, body: Any) -> Any:
    with pytest.raises(urllib.error.HTTPError) as refused:
        site.call(path, body)
    return json.loads(refused.value.read())


def test_python_knows_every_field_of_an_answer_and_none_more(site: Site) -> None:
    body = _answer(site)
    for shape, said in ((Answer, body), (Decision, body["decisions"][0]), (Warned, body["warnings"][0])):
        assert {camel(each.name) for each in fields(shape)} - {"error"} == said.keys()


def test_typescript_knows_every_field_of_an_answer_and_none_more(site: Site, typescript: Path) -> None:
    """An object literal may hold no field that its type does not know, and must hold each that it does."""
    answer = _answer(site)
    lacking = {name: value for name, value in answer.items() if name != "stateRevision"}
    (typescript / "answer.ts").write_text(
        'import type { AnswerFields } from "@nextbest/client";\n'
        f"export const whole = {json.dumps(answer)} satisfies AnswerFields;\n"
        "// @ts-expect-error: one is missing\n"
        f"export const lacking = {json.dumps(lacking)} satisfies AnswerFields;\n"
        "// @ts-expect-error: one is new\n"
        f"export const more = {json.dumps({**answer, 'more': 1})} satisfies AnswerFields;\n"
    )
    consumer = (SOURCE / "tests" / "consumer.ts").read_text()
    (typescript / "consumer.ts").write_text(consumer)
    (typescript / "consumer.cts").write_text(consumer)
    (typescript / "package.json").write_text('{"type": "module"}')
    options = ["--strict", "--noEmit", "--module", "NodeNext", "--target", "ES2022", "--lib", "ES2022"]
    compiled = run(typescript, "tsc", *options, "answer.ts", "consumer.ts", "consumer.cts")
    assert (compiled.stdout, compiled.returncode) == ("", 0)


def _answer(site: Site) -> Any:
    """One with a warning."""
    visitor = {"anonymousId": "shapes", "userId": "undefined"}
    return site.call("/v1/decide", {"visitor": visitor, "placements": ["hero", {"placement": "theme", "slots": 1}]})


PAGE = (ROOT / "docs" / "clients.md").read_text()


def block(language: str, site: Site) -> str:
    """What the page shows, at the address of the site."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1].replace("http://127.0.0.1:8700", site.up.url).replace("timeout=0.3", "timeout=10")


def test_what_the_page_shows_of_python_works(site: Site) -> None:
    said: dict[str, Any] = {}
    exec(block("python", site), said)
    said["client"].close()
    assert said["html"] == "<h1>Run further</h1>"
    state = site.state("u:user-7")
    assert (state.event_count, state.traits) == (1, {})
    assert site.outcomes("home.hero") == {}, "its window is open"
    assert _rewarded(site, "u:user-7") == [said["answer"]["home.hero"].decision_id]


def _rewarded(site: Site, key: str) -> list[str]:
    return [event.decision_id for event in site.events(key) if isinstance(event, Rewarded)]


def test_what_the_page_shows_of_typescript_works(site: Site, typescript: Path) -> None:
    shown = block("ts", site).replace("timeoutMs: 300", "timeoutMs: 10000")
    tail = "\nconsole.log(JSON.stringify([content, answer.decisions[0].decisionId])); await client.close();"
    (typescript / "page.mjs").write_text(shown + tail)
    done = run(typescript, "node", "page.mjs")
    assert done.stderr == ""
    content, decision_id = json.loads(done.stdout)
    assert content == {"type": "html", "html": "<h1>Run further</h1>"}
    assert tracked(site, "a1")[-1] == "Product Viewed"
    assert decision_id in _rewarded(site, "a:a1")


@pytest.mark.parametrize(
    ("language", "sent", "read"),
    [
        ("kotlin", r'put\("(\w+)"', r'get(?:JSONArray|JSONObject|String)\("(\w+)"\)'),
        ("swift", r'"(\w+)": ', r"\.(decisions|content|html)\b"),
    ],
)
def test_what_the_page_shows_of_phones_is_what_the_server_takes_and_gives(
    site: Site, language: str, sent: str, read: str
) -> None:
    shown = block(language, site)
    assert re.findall(sent, shown) == ["visitor", "anonymousId", "placements", "requestId"]
    body = {"visitor": {"anonymousId": language}, "placements": ["home.hero"], "requestId": f"r-{language}"}
    answer = site.call("/v1/decide", body, key="pk_dev")
    first, second, third = re.findall(read, shown)
    assert answer[first][0][second][third] == "<h1>Run further</h1>"
    assert answer["requestId"] == f"r-{language}"
    assert answer["decisions"][0]["decisionId"]


def test_a_page_shows_what_was_decided_and_tells_what_waits_as_it_goes(
    site: Site, typescript: Path, tmp_path: Path
) -> None:
    chromium()
    (typescript / "index.js").write_text('export * from "@nextbest/client";')
    bundled = ["--bundle", "--format=iife", "--global-name=nextbest", f"--outfile={tmp_path / 'page.js'}"]
    assert run(typescript, "esbuild", "index.js", *bundled).returncode == 0
    icon = '<link rel="icon" href="data:,">'
    (tmp_path / "index.html").write_text(f'<!doctype html>{icon}<script src="page.js"></script>')
    with page_in(tmp_path) as page:
        hero = page.evaluate(
            """async (url) => {
                const patient = { flushEveryMs: 600000, timeoutMs: 10000 };
                const client = new nextbest.Client({ url, key: "pk_dev", storage: localStorage, ...patient });
                const visitor = { anonymousId: "in-a-page" };
                const { decisions: [hero] } = await client.decide("home.hero", visitor);
                client.track(visitor, "Read");
                client.track(visitor, "Left");
                client.reward(hero);
                return { ...hero, stored: localStorage.length };
            }""",
            site.up.url,
        )
        assert (hero["content"]["html"], hero["stored"]) == ("<h1>Run further</h1>", 3)
        page.goto("about:blank")
    until(lambda: tracked(site, "in-a-page") == ["Read", "Left"], "what waited is in the log")
    until(lambda: _rewarded(site, "a:in-a-page") == [hero["decisionId"]], "and the reward")


def test_while_the_server_is_away_everybody_has_an_answer_and_nothing_is_lost_or_counted_twice(
    site: Site, clients: dict[str, Speaking]
) -> None:
    """The API's process is stopped in its tracks, which is slow, and then killed, which is away."""
    for kind, client in clients.items():
        client.track(Visitor(anonymous_id=f"away-{kind}"), "Before", message_id=f"before-{kind}")
        assert client.flush()
    api = site.up.pids["api"]
    stand_still(api)
    try:
        for kind, client in clients.items():
            began_s = time.monotonic()
            answer = client.decide("hero", Visitor(anonymous_id=f"away-{kind}"), default="ours", timeout=0.5)
            assert time.monotonic() - began_s < 3
            assert (answer["hero"].content, answer["hero"].tier) == ("ours", "default")
            for n in range(50):
                client.track(Visitor(anonymous_id=f"away-{kind}"), f"While {n}")
    finally:
        os.kill(api, signal.SIGKILL)
        os.kill(api, signal.SIGCONT)
    for client in clients.values():
        until(client.flush, "what waited is sent")
    for kind in clients:
        assert tracked(site, f"away-{kind}") == ["Before", *(f"While {n}" for n in range(50))]
        assert site.state(f"a:away-{kind}").event_count == 51
