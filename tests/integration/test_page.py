"""The page script in a real browser: what is shown, and what is stored of it, whatever fails and whoever leaves."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from api.sdk.routes import CORE
from tests.integration.visited_site import (
    HIDDEN_LONG,
    STYLE,
    SiteBesideABrowser,
    VisitedSite,
    held,
    id_of,
    kept_by,
    posts,
)
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 1h
    rewards: [{event: Content Clicked, value: 1}, {event: Order Completed, value: 1}]
  list: {content: [one, two, three], default: one, slots: 2}
  offer: {content: [half], default: half}
  moved: {content: [elsewhere], default: elsewhere}
  broken: {content: [faulty], default: faulty}
content:
  red: {type: html, body: '<p class="decided">red <a href="#there">look</a> <button>buy</button></p>'}
  green: {type: html, body: '<p class="decided">green <a href="#there">look</a> <button>buy</button></p>'}
  one: {type: html, body: <i>one</i>}
  two: {type: html, body: <i>two</i>}
  three: {type: html, body: <i>three</i>}
  half: {body: {percent: 50}}
  elsewhere: {type: redirect, body: 'https://shop.example/elsewhere'}
  faulty: {type: html, trusted: true, body: '<faulty-element class="decided">new</faulty-element>'}
sources:
  shop: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
  asked: {write_keys: [pk_asked], consent_default: denied}
  heeding: {write_keys: [pk_heeding], consent_default: granted, gpc: [personalization]}
"""
HERO = '<div data-nextbest="hero" style="height: 80px">default</div>'
DECIDED = "#hero .decided, [data-nextbest=hero] .decided"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    with (
        SiteBesideABrowser.open(tmp_path_factory, CATALOG) as site,
        VisitedSite.open(site, tmp_path_factory.mktemp("pages")) as web,
    ):
        yield web


@pytest.fixture
def page(web: VisitedSite) -> Iterator[Page]:
    context = web.visitor()
    page = context.new_page()
    page.on("console", lambda said: print(said.text))
    yield page
    context.close()


def text(page: Page) -> str:
    return page.inner_text("[data-nextbest]")


def is_seen(page: Page) -> bool:
    return bool(
        page.evaluate("getComputedStyle(document.querySelector('[data-nextbest]')).visibility") == "visible"
    )


def shown_once(web: VisitedSite, page: Page, n: int) -> str:
    """Wait until the log has ``n`` exposures of the page's visitor; gives their id."""
    visitor = id_of(page)
    until(lambda: len(web.stored(visitor).shown) == n, f"{n} exposures are stored")
    return visitor


# --- what is decided ------------------------------------------------------------------------------------------


def test_one_call_decides_all_blocks_and_each_is_exposed_once(web: VisitedSite, page: Page) -> None:
    sent = posts(page)
    page.goto(web.write(HERO + '<div data-nextbest="list">a</div><div data-nextbest="list">b</div>'))
    page.wait_for_selector("[data-nextbest=list] i")
    visitor = shown_once(web, page, 3)
    stored = web.after(page, visitor)
    assert [path for path, _ in sent].count("/v1/decide") == 1
    assert len(set(page.locator("[data-nextbest=list]").all_inner_texts())) == 2
    decided = {each.arm: each.decision_id for each in web.decisions(visitor).values()}
    hero = page.inner_text("[data-nextbest=hero]").split()[0]
    assert set(decided) == {hero, *page.locator("[data-nextbest=list]").all_inner_texts()}
    assert stored.shown == dict.fromkeys(decided.values(), 1)


def test_nothing_moves_and_nothing_flashes(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO + "<p>below</p>"))
    page.wait_for_selector(DECIDED)
    visitor = shown_once(web, page, 1)
    web.after(page, visitor)
    assert page.evaluate("window.shifts") <= 0.05


def test_a_block_below_is_not_shown_before_it_is_in_sight(web: VisitedSite, page: Page) -> None:
    page.goto(web.write('<div style="height: 5000px">long</div>' + HERO))
    page.wait_for_selector(DECIDED)
    visitor = id_of(page)
    assert web.after(page, visitor).shown == {}
    page.evaluate("document.querySelector('[data-nextbest]').scrollIntoView()")
    shown_once(web, page, 1)


def test_a_handler_is_given_json_and_a_redirect_is_followed_where_the_block_says_so(
    web: VisitedSite, page: Page
) -> None:
    asked = """<script>(window.nextbest = window.nextbest || []).push(
        ["content", "offer", (offer, decision, element) => { element.textContent = offer.percent + " %" }]
    )</script>"""
    page.goto(web.write('<div data-nextbest="offer">none</div><div data-nextbest="moved">here</div>' + asked))
    page.wait_for_function("document.querySelector('[data-nextbest=offer]').textContent === '50 %'")
    shown_once(web, page, 1)
    assert page.text_content("[data-nextbest=moved]") == "here"

    page.route("https://shop.example/**", lambda route: route.fulfill(body="elsewhere"))
    visitor = id_of(page)
    page.goto(web.write('<div data-nextbest="moved" data-nextbest-redirect>here</div>'), wait_until="commit")
    page.wait_for_url("https://shop.example/elsewhere")
    until(lambda: len(web.stored(visitor).shown) == 2, "the redirect was exposed before it was followed")


def test_blocks_that_appear_later_are_decided_once_each(web: VisitedSite, page: Page) -> None:
    sent = posts(page)
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    page.evaluate("""() => { history.pushState({}, "", "#/next");
        document.body.innerHTML = '<main><div data-nextbest="hero">next</div></main>' }""")
    page.wait_for_selector(DECIDED)
    page.evaluate("document.body.append(document.createElement('hr'))")
    shown_once(web, page, 2)
    assert set(web.after(page, visitor).shown.values()) == {1}
    asked = [body["context"]["page"]["url"] for path, body in sent if path == "/v1/decide"]
    assert len(asked) == 2
    assert asked[1].endswith("#/next")


# --- what fails -----------------------------------------------------------------------------------------------


def test_a_placement_that_nobody_knows_leaves_the_others(web: VisitedSite, page: Page) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.extend(str(each.json_value()) for each in message.args))
    unknown = "".join(
        f'<div data-nextbest="unknown-{n}">default {n}</div>' for n in range(60)
    )  # more than one call takes
    sent = posts(page)
    page.goto(web.write(HERO + unknown))
    page.wait_for_selector(DECIDED)
    page.wait_for_function("document.readyState === 'complete'")
    shown_once(web, page, 1)
    assert page.text_content("[data-nextbest=unknown-59]") == "default 59"
    assert [len(body["placements"]) for path, body in sent if path == "/v1/decide"] == [50, 11]
    assert any("unknown-7" in each for each in said)


@pytest.mark.parametrize("failure", ["no script", "slow script", "error", "cut", "gone", "unknown key"])
def test_the_default_content_stays_whatever_fails(web: VisitedSite, page: Page, failure: str) -> None:
    def fail(route: Route) -> None:
        if failure == "error":
            route.fulfill(status=500, body='{"code":"internal","message":"broken"}')
        elif failure == "cut":
            route.fulfill(body='{"decisions":[{"placement":"hero","slot":0,"content":{"type":"ht')
        else:
            route.abort()

    slow: list[Route] = held(page, "/sdk/") if failure == "slow script" else []
    if failure != "slow script":
        page.route("**/sdk/*" if failure == "no script" else "**/v1/decide*", fail)
    key = "pk_nobodys" if failure == "unknown key" else "pk_dev"
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(web.write(HERO, STYLE + web.script(key)), wait_until="domcontentloaded")
    page.wait_for_function("document.getAnimations().length === 0")
    assert (is_seen(page), text(page)) == (True, "default")
    for route in slow:
        route.continue_()
    if slow:
        sent = posts(page)
        page.wait_for_function("window.nextbest && document.readyState === 'complete'")
        web.after(page, id_of(page))
        assert text(page) == "default"
        assert [path for path, _ in sent] == ["/v1/events"]
    assert errors == []


def test_an_answer_that_comes_too_late_changes_nothing_and_counts_as_nothing(web: VisitedSite, page: Page) -> None:
    waiting = held(page, "/v1/decide")
    page.goto(web.write(HERO, STYLE + web.script()))
    page.wait_for_function("document.getAnimations().length === 0")
    assert (is_seen(page), text(page)) == (True, "default")
    with page.expect_response("**/v1/decide*"):
        waiting[0].continue_()
    page.wait_for_function(
        "new Promise(done => setTimeout(() => done(true), 1500))"
    )  # longer than an impression needs
    page.click("[data-nextbest]")
    visitor = id_of(page)
    stored = web.after(page, visitor)
    assert text(page) == "default"
    assert (stored.shown, stored.tracked) == ({}, {})
    assert len(web.decisions(visitor)) == 1


def test_what_content_throws_harms_no_other_block(web: VisitedSite, page: Page) -> None:
    faulty = """<script>customElements.define("faulty-element", class extends HTMLElement {
        connectedCallback() { throw new Error("the content's own") } });
        addEventListener("nextbest:content", () => { throw new Error("the page's own") })</script>"""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(web.write(faulty + '<div data-nextbest="broken">default</div>' + HERO))
    page.wait_for_selector(DECIDED)
    shown_once(web, page, 2)
    assert errors  # they were thrown


LESS_MOTION = """<style>@media (prefers-reduced-motion: reduce) {
*, *::before, *::after { animation-duration: 0.01ms !important; animation-iteration-count: 1 !important }
}</style>"""
"""As many sites have it."""


def test_who_wants_less_motion_is_shown_what_was_decided(web: VisitedSite) -> None:
    context = web.visitor(reduced_motion="reduce")
    page = context.new_page()
    waiting = held(page, "/v1/decide")
    with page.expect_request("**/v1/decide*"):
        page.goto(web.write("<h1>painted</h1>" + HERO, LESS_MOTION + HIDDEN_LONG + web.script()))
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length === 1")
    waiting[0].continue_()
    page.wait_for_selector(DECIDED)
    context.close()


def test_without_the_style_a_block_is_filled_in_time_or_not_at_all(web: VisitedSite, page: Page) -> None:
    context = web.visitor()
    context.add_init_script("performance.getEntriesByName = () => []")  # nothing was painted yet
    quick = context.new_page()
    quick.goto(web.write(HERO, web.script()))
    quick.wait_for_selector(DECIDED)
    context.close()
    waiting = held(page, "/v1/decide")
    page.goto(web.write(HERO, web.script()))
    page.wait_for_function(
        "performance.now() > 350 + performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
    )
    with page.expect_response("**/v1/decide*"):
        waiting[0].continue_()
    page.evaluate("new Promise(requestAnimationFrame)")
    assert text(page) == "default"


def test_what_a_framework_put_in_its_place_counts_as_nothing(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    # What hydration does where the page is not what the framework rendered: it puts in its own, or renders anew.
    page.evaluate("""document.querySelector("[data-nextbest]").innerHTML = '<button>default</button>'""")
    page.click("[data-nextbest] button")
    page.evaluate("new Promise(done => setTimeout(done, 1500))")  # longer than an impression needs
    visitor = id_of(page)
    stored = web.after(page, visitor)
    assert (text(page), stored.shown, stored.tracked) == ("default", {}, {})
    page.evaluate("html => { document.body.innerHTML = html }", HERO)
    page.wait_for_selector(DECIDED)
    shown_once(web, page, 1)


# --- what is clicked ------------------------------------------------------------------------------------------


def test_a_click_is_the_reward_of_what_was_shown_and_counts_once(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    page.dblclick("[data-nextbest] button")
    page.focus("[data-nextbest] a")
    page.keyboard.press("Enter")
    visitor = id_of(page)
    stored = web.after(page, visitor)
    ((decision_id, decision),) = web.decisions(visitor).items()
    assert stored.shown == {decision_id: 1}
    assert stored.tracked == {"Content Clicked": 1}
    (clicked,) = (each.properties for each in stored.tracks if each.event == "Content Clicked")
    assert (clicked["decisionId"], clicked["contentId"]) == (decision_id, decision.arm)


@pytest.mark.parametrize("how", ["click", "middle", "Enter"])
def test_every_way_to_click_counts(web: VisitedSite, page: Page, how: str) -> None:
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    if how == "Enter":
        page.focus("[data-nextbest] a")
        page.keyboard.press("Enter")
    else:
        page.click("[data-nextbest] a", button="middle" if how == "middle" else "left")
    assert web.after(page, id_of(page)).tracked == {"Content Clicked": 1}


def test_a_click_that_leaves_the_page_counts_once(web: VisitedSite, page: Page) -> None:
    there = web.write("<h1>there</h1>", "")
    page.goto(web.write(f'<a id="away" href="{there}">{HERO}</a>'))
    page.wait_for_selector(DECIDED)
    visitor = id_of(page)
    page.click("[data-nextbest]", position={"x": 2, "y": 70})
    page.wait_for_selector("h1")
    until(lambda: bool(web.stored(visitor).tracked), "the click is stored")
    stored = web.stored(visitor)
    assert (stored.tracked, list(stored.shown.values())) == ({"Content Clicked": 1}, [1])


def test_a_named_reward_is_one_by_name(web: VisitedSite, page: Page) -> None:
    mark = "element => element.setAttribute('data-nextbest-reward', 'liked')"
    page.goto(web.write(HERO))
    page.locator("[data-nextbest] button").evaluate(mark)
    page.dblclick("[data-nextbest] button")
    visitor = id_of(page)
    stored = web.after(page, visitor)
    assert [(each.name, each.value) for each in stored.rewarded] == [("liked", 1.0)]
    assert {each.decision_id for each in stored.rewarded} == set(web.decisions(visitor)) == set(stored.shown)


# --- who leaves and comes back --------------------------------------------------------------------------------


def test_what_a_closed_tab_had_to_say_arrives_once(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    page.evaluate("nextbest.track('Order Completed', {revenue: 12})")
    page.close(run_before_unload=True)
    until(lambda: bool(web.stored(visitor).tracked), "the order is stored")
    assert web.stored(visitor).tracked == {"Order Completed": 1}


def test_who_comes_back_by_the_back_button_is_counted_once(web: VisitedSite, page: Page) -> None:
    sent = posts(page)
    there = web.write("<h1>there</h1>", "")
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    before = text(page)
    page.goto(there)
    page.go_back(wait_until="commit")
    page.wait_for_function("window.restored === 1")
    page.wait_for_function(
        "new Promise(done => setTimeout(() => done(true), 1500))"
    )  # longer than an impression needs
    page.click("[data-nextbest] button")
    stored = web.after(page, visitor)
    assert text(page) == before
    assert [path for path, _ in sent].count("/v1/decide") == 1
    assert (list(stored.shown.values()), stored.tracked) == ([1], {"Content Clicked": 1})


def test_what_did_not_arrive_is_sent_again_and_counts_once(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    failed: list[Any] = []

    def lose(route: Route) -> None:  # the server has it, and the page is told that it failed
        route.fetch()
        failed.append(route.request.post_data_json)
        route.fulfill(status=503, body="{}")

    page.route("**/v1/events*", lose, times=1)
    page.evaluate("nextbest.track('Order Completed')")
    with page.expect_response(lambda answer: "/v1/events" in answer.url and answer.ok):
        page.wait_for_event("console")
    assert len(failed) == 1
    web.after(page, visitor)
    assert web.site.state(f"a:{visitor}").counts["Order Completed"].value == pytest.approx(1, rel=0.01)


def test_what_cannot_be_sent_harms_nothing_else(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    page.evaluate("""() => {
        const circle = {}, cart = {total: 1};
        circle.circle = circle;
        nextbest.track("Good");
        nextbest.track("Circular", circle);
        nextbest.track("Half a letter", {text: "\\ud83d"});
        nextbest.track("Large", {text: "x".repeat(70_000)});
        nextbest.track();
        nextbest.push(["no such call"]);
        nextbest.track("Cart", cart);
        cart.total = 2;
    }""")
    visitor = shown_once(web, page, 1)
    until(lambda: len(web.stored(visitor).tracked) == 2, "what is good is stored")
    stored = web.after(page, visitor)
    assert stored.tracked == {"Good": 1, "Cart": 1}
    assert [each.properties for each in stored.tracks if each.event == "Cart"] == [{"total": 1}]


def test_a_browser_without_beacons_loses_nothing(web: VisitedSite, page: Page) -> None:
    page.add_init_script("delete Navigator.prototype.sendBeacon")
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    page.click("[data-nextbest] button")
    assert web.after(page, id_of(page)).tracked == {"Content Clicked": 1}


# --- who it is ------------------------------------------------------------------------------------------------


def test_who_logs_in_is_the_user_and_who_logs_out_is_somebody_new(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    before = id_of(page)
    page.evaluate("nextbest.identify('user-7', {plan: 'pro'})")
    until(lambda: web.site.state("u:user-7").traits.get("plan") is not None, "the trait is known")
    assert (kept_by(page.context) or {})["user"] == "user-7"
    page.evaluate("nextbest.reset()")
    kept = kept_by(page.context) or {}
    assert kept["id"] != before
    assert "user" not in kept


@pytest.mark.parametrize("said", ["{plan: 'pro'}", "undefined, {plan: 'pro'}", "'', {plan: 'pro'}, null"])
def test_traits_without_an_id_are_the_visitors_own(web: VisitedSite, page: Page, said: str) -> None:
    page.goto(web.write(HERO))
    visitor = id_of(page)
    page.evaluate(f"nextbest.identify({said})")
    web.after(page, visitor)
    assert web.site.state(f"a:{visitor}").traits["plan"] == "pro"
    assert "user" not in (kept_by(page.context) or {})


@pytest.mark.parametrize(
    "value", ["5", "%22text%22", "%7Bbad", "%7B%22id%22%3A%7B%7D%7D", "%7B%22id%22%3A%22null%22%7D"]
)
def test_a_cookie_that_another_program_wrote_names_nobody(web: VisitedSite, page: Page, value: str) -> None:
    page.context.add_cookies([{"name": "nextbest", "value": value, "url": web.origin}])
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    assert id_of(page).count("-") == 3


def test_the_same_browser_is_the_same_visitor_on_the_next_page(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    before = id_of(page)
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    assert id_of(page) == before
    until(lambda: len(web.decisions(before)) == 2, "both pages were decided for them")
    (cookie,) = page.context.cookies()
    assert cookie.get("sameSite") == "Lax"
    lasts_s = float(cookie.get("expires", 0)) - float(page.evaluate("Date.now() / 1000"))
    assert lasts_s == pytest.approx(30 * 86_400, abs=60)


# --- what is agreed to ----------------------------------------------------------------------------------------


def denied(web: VisitedSite, body: str = HERO) -> str:
    return web.write(body, HIDDEN_LONG + web.script("pk_asked"))


def test_before_a_grant_nothing_is_kept_read_or_stored(web: VisitedSite, page: Page) -> None:
    before = web.n_stored()
    page.goto(denied(web))
    page.wait_for_selector(DECIDED)
    page.evaluate("nextbest.track('Product Viewed')")
    page.click("[data-nextbest] button")
    page.wait_for_function("new Promise(done => setTimeout(() => done(true), 1500))")  # longer than a batch waits
    page.evaluate("nextbest.consent({personalization: false})")
    page.goto(web.write("<h1>away</h1>", ""))
    assert page.context.cookies() == []
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert web.n_stored() == before


def test_nothing_of_the_device_is_read_before_a_grant(web: VisitedSite, page: Page) -> None:
    page.goto(denied(web))
    page.wait_for_selector(DECIDED)
    page.evaluate("nextbest.track('Product Viewed')")
    assert page.evaluate("window.reads") == []


def test_what_waited_is_sent_after_a_grant_and_dropped_after_a_refusal(web: VisitedSite, page: Page) -> None:
    page.goto(denied(web))
    page.wait_for_selector(DECIDED)
    page.evaluate("nextbest.track('Before')")
    page.evaluate("nextbest.consent({personalization: true})")
    visitor = id_of(page)
    until(lambda: web.stored(visitor).tracked["Before"] == 1, "what waited is stored")
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is True, "and what was agreed to")

    waiting = held(page, "/v1/events")
    page.evaluate("nextbest.track('After')")
    page.evaluate("nextbest.consent({personalization: false})")
    assert page.context.cookies() == []
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the withdrawal is stored")
    page.goto(web.write("<h1>away</h1>", ""))
    assert waiting == []
    assert web.stored(visitor).tracked["After"] == 0


def test_a_withdrawal_in_one_tab_holds_in_all(web: VisitedSite, page: Page) -> None:
    page.goto(denied(web))
    page.evaluate("nextbest.consent({personalization: true})")
    visitor = id_of(page)
    until(lambda: web.site.granted(f"a:{visitor}") == {"personalization": True}, "the grant is stored")
    other = page.context.new_page()
    other.goto(denied(web))
    other.evaluate("nextbest.consent({personalization: false})")
    until(lambda: web.site.granted(f"a:{visitor}") == {"personalization": False}, "the withdrawal is stored")
    sent = posts(page)
    page.evaluate("nextbest.track('After')")
    page.evaluate("nextbest.refresh()")
    page.goto(web.write("<h1>away</h1>", ""))
    assert [body["visitor"]["anonymousId"] != visitor for _, body in sent] == [
        True
    ]  # the decision alone, for another
    assert web.site.granted(f"a:{visitor}") == {"personalization": False}


def test_a_yes_that_was_heard_undoes_no_withdrawal_from_another_device(web: VisitedSite, page: Page) -> None:
    page.goto(denied(web))
    with page.expect_response(lambda answer: "/v1/consent" in answer.url and answer.ok):
        page.evaluate("nextbest.consent({personalization: true})")
    visitor = id_of(page)
    until(lambda: web.site.granted(f"a:{visitor}") == {"personalization": True}, "the grant is stored")
    elsewhere = {"visitor": {"anonymousId": visitor}, "purposes": {"personalization": False}}
    web.site.call("/v1/consent", elsewhere, "sk_dev")
    until(lambda: web.site.granted(f"a:{visitor}") == {"personalization": False}, "the withdrawal is stored")
    before = web.n_stored()
    with page.expect_response(lambda answer: "/v1/events" in answer.url):
        page.evaluate("nextbest.track('After')")
    with page.expect_response(lambda answer: "/v1/decide" in answer.url):
        page.evaluate("nextbest.refresh()")
    page.goto(denied(web, HERO))
    page.evaluate("nextbest.consent({personalization: true})")  # as its banner says on every page
    page.wait_for_selector(DECIDED)
    page.goto(web.write("<h1>away</h1>", ""))
    assert (web.site.granted(f"a:{visitor}"), web.n_stored()) == ({"personalization": False}, before)


def test_a_withdrawal_is_told_until_it_was_heard(web: VisitedSite, page: Page) -> None:
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    page.route("**/v1/consent*", lambda route: route.fulfill(status=503, body="{}"), times=1)
    with page.expect_response(lambda answer: "/v1/consent" in answer.url and answer.ok):
        page.evaluate("nextbest.consent({personalization: false})")
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the withdrawal is stored")


@pytest.mark.parametrize("word", ["'denied'", "'no'", "0", "undefined", "null", "{}"])
def test_what_is_no_yes_grants_nothing(web: VisitedSite, page: Page, word: str) -> None:
    before = web.n_stored()
    page.goto(denied(web))
    page.wait_for_selector(DECIDED)
    page.evaluate(f"nextbest.track('Waits'); nextbest.consent({{personalization: {word}}})")
    page.goto(web.write("<h1>away</h1>", ""))
    assert (page.context.cookies(), web.n_stored()) == ([], before)


def test_a_word_on_another_purpose_is_no_reason_to_look_at_the_device(web: VisitedSite, page: Page) -> None:
    page.goto(denied(web))
    page.evaluate("nextbest.consent({Personalization: 'granted'})")
    visitor = id_of(page)
    page.goto(denied(web))
    page.evaluate("nextbest.consent({advertising: false, personalization: undefined})")
    assert page.evaluate("window.reads") == []
    assert (kept_by(page.context) or {})["id"] == visitor


def test_who_agreed_is_known_again_once_the_page_says_so(web: VisitedSite, page: Page) -> None:
    agreed = '<script>(window.nextbest = window.nextbest || []).push(["consent", {personalization: true}])</script>'
    page.goto(denied(web, agreed + HERO))
    visitor = shown_once(web, page, 1)
    sent = posts(page)
    page.goto(denied(web, agreed + HERO))
    assert shown_once(web, page, 2) == visitor
    assert "/v1/consent" not in [path for path, _ in sent]  # it was said before


def test_a_refusal_where_the_default_is_granted_outlasts_the_page_without_an_id(
    web: VisitedSite, page: Page
) -> None:
    page.goto(web.write(HERO))
    visitor = shown_once(web, page, 1)
    page.evaluate("nextbest.consent({personalization: false})")
    assert kept_by(page.context) == {"said": {"personalization": False}}
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the refusal is stored")
    before = web.n_stored()
    sent = posts(page)
    page.goto(web.write(HERO))
    page.wait_for_selector(DECIDED)
    page.click("[data-nextbest] button")
    page.goto(web.write("<h1>away</h1>", ""))
    assert [body["visitor"] for _, body in sent] == [{}]
    assert web.n_stored() == before


@pytest.mark.parametrize(("key", "is_kept"), [("pk_heeding", False), ("pk_dev", True)])
def test_the_browsers_own_refusal_counts_where_the_source_says_so(
    web: VisitedSite, key: str, is_kept: bool
) -> None:
    context = web.visitor()
    context.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    page = context.new_page()
    page.goto(web.write(HERO, HIDDEN_LONG + web.script(key)))
    page.wait_for_selector(DECIDED)
    assert (kept_by(context) is not None) == is_kept
    page.evaluate("nextbest.consent({personalization: true})")
    assert (kept_by(context) is not None) == is_kept
    context.close()


# --- where it may run -----------------------------------------------------------------------------------------


def test_a_page_with_a_strict_policy_and_trusted_types_is_filled(web: VisitedSite, page: Page) -> None:
    policy = (
        f"default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; style-src 'nonce-n1'; "
        f"connect-src {web.site.up.url}; require-trusted-types-for 'script'; trusted-types nextbest; img-src data:"
    )
    head = f'<meta http-equiv="content-security-policy" content="{policy}">'
    head += HIDDEN_LONG.replace("<style>", '<style nonce="n1">') + web.script(more='nonce="n1" data-with="pages"')
    with page.expect_response(lambda answer: "/sdk/nextbest-more." in answer.url and answer.ok):
        page.goto(web.write('<div data-nextbest="hero">default</div>', head))
    page.wait_for_selector(DECIDED)
    visitor = shown_once(web, page, 1)
    page.click("[data-nextbest] button")
    assert web.after(page, visitor).tracked == {"Content Clicked": 1}
    assert page.evaluate("window.violations") == []


WAYS = {
    "a module": '<script type="module" src="{src}"></script>',
    "twice": '<script async src="{src}"></script><script src="{src}"></script>',
    "late": """<script>addEventListener("load", () => {{ const tag = document.createElement("script");
        tag.src = "{src}"; document.head.append(tag) }})</script>""",
    "as text": """<script type="text/plain" src="{src}"></script><script>
        fetch("{src}").then(answer => answer.text()).then(text => {{
            const tag = document.createElement("script"); tag.text = text; document.head.append(tag)
        }})</script>""",
    "with the API's address": '<script async src="{src}" data-host="{host}/"></script>',
}
"""How pages and tag managers put it in."""


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_put_in_it_decides_once(web: VisitedSite, page: Page, way: str) -> None:
    host = web.site.up.url
    sent = posts(page)
    page.goto(web.write(HERO + WAYS[way].format(src=f"{host}/sdk/nextbest.js?key=pk_dev", host=host), HIDDEN_LONG))
    page.wait_for_selector(DECIDED)
    shown_once(web, page, 1)
    assert [path for path, _ in sent].count("/v1/decide") == 1


def test_a_frame_that_may_keep_nothing_is_filled(web: VisitedSite, page: Page) -> None:
    sent = posts(page)
    with page.expect_response(lambda answer: "/v1/exposures" in answer.url and answer.ok):
        page.goto(web.write(f'<iframe sandbox="allow-scripts" src="{web.write(HERO)}"></iframe>', ""))
    assert [path for path, _ in sent] == ["/v1/decide", "/v1/exposures"]


def test_the_page_of_the_docs_is_decided_as_it_stands_there(web: VisitedSite, page: Page) -> None:
    docs = (ROOT / "docs" / "page.md").read_text("utf-8")
    written = docs.split("```html\n", 1)[1].split("```", 1)[0]
    head, block = written.split("\n…\n")
    for theirs, ours in (("https://HOST", web.site.up.url), ("pk_…", "pk_dev"), ("300ms", "20s")):
        assert theirs in head
        head = head.replace(theirs, ours)
    page.goto(web.write(block.replace("home.hero", "hero"), head))
    page.wait_for_selector(DECIDED)


def test_a_page_that_is_rendered_ahead_asks_once_it_is_looked_at(web: VisitedSite, page: Page) -> None:
    page.add_init_script("Object.defineProperty(document, 'prerendering', {value: true})")
    sent = posts(page)
    page.goto(web.write(HERO))
    page.wait_for_function("performance.now() > 500")
    assert (sent, page.context.cookies()) == ([], [])
    page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")
    page.wait_for_selector(DECIDED)


def test_a_page_may_pin_the_script(web: VisitedSite, page: Page) -> None:
    integrity = "sha256-" + base64.b64encode(hashlib.sha256(CORE.text).digest()).decode()
    head = f'{HIDDEN_LONG}<script async src="{web.site.up.url}/sdk/nextbest.{CORE.hash}.js" data-key="pk_dev" '
    head += f'data-consent="granted" crossorigin integrity="{integrity}"></script>'
    page.goto(web.write(HERO, head))
    page.wait_for_selector(DECIDED)
    shown_once(web, page, 1)
