"""The switches of the page script in a real browser: what each of them stores, once, and what it never does."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from personalization.events.event import Identify
from personalization.events.event import Page as PageEvent
from tests.integration.visited_site import SiteBesideABrowser, VisitedSite, id_of, posts
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero: {content: [red], default: red}
content:
  red: {type: html, body: <p>red</p>}
sources:
  shop: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}
  private: {write_keys: [pk_private], consent_default: granted, gpc: [personalization]}
  asked: {write_keys: [pk_asked], consent_default: denied}
"""
SEGMENTS = re.compile(r"^```yaml\n(segments:.*?)^```", re.MULTILINE | re.DOTALL)
TALL = '<div style="height: {height}px">tall</div>'
PAGE_LEFT = "Page Left"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    segments = SEGMENTS.findall((ROOT / "docs" / "page.md").read_text("utf-8"))
    with (
        SiteBesideABrowser.open(tmp_path_factory, CATALOG + "".join(segments)) as site,
        VisitedSite.open(site, tmp_path_factory.mktemp("pages")) as web,
    ):
        yield web


@pytest.fixture
def page(web: VisitedSite) -> Iterator[Page]:
    context = web.visitor(viewport={"width": 800, "height": 600})
    yield context.new_page()
    context.close()


def write(
    web: VisitedSite, switches: str, body: str = "", key: str = "pk_dev", before: str = "", more: str = ""
) -> str:
    """A page with those switches on."""
    return web.write(body, before + web.script(key, f'data-with="{switches}" {more}'))


def away(web: VisitedSite) -> str:
    return web.write("<h1>away</h1>", "")


def properties(web: VisitedSite, visitor: str, name: str) -> list[dict[str, Any]]:
    """Those of each event of that name in the log."""
    return [each.properties for each in web.stored(visitor).tracks if each.event == name]


def views(web: VisitedSite, visitor: str) -> list[PageEvent]:
    return [each for each in web.site.events(f"a:{visitor}") if isinstance(each, PageEvent)]


def segments(web: VisitedSite, visitor: str) -> Any:
    """Those of the visitor, once all is folded."""
    web.site.state(f"a:{visitor}")
    return web.site.request("GET", f"/v1/visitors/{visitor}")[1]["segments"]


def identified(web: VisitedSite, key: str) -> list[Identify]:
    return [each for each in web.site.events(key) if isinstance(each, Identify)]


def hide(page: Page, hidden: bool = True) -> None:
    """What a browser without a window never does: the page goes out of sight, or comes back."""
    page.evaluate(
        """hidden => { Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange", {bubbles: true})) }""",
        hidden,
    )


def with_clock(page: Page) -> None:
    """Time passes where the test says so."""
    now = datetime.datetime.now(datetime.UTC)
    page.clock.install(time=now)
    page.clock.pause_at(now + datetime.timedelta(seconds=1))


def after(web: VisitedSite, page: Page, visitor: str) -> dict[str, int]:
    """How often what happened is stored, once all is that the page had to say."""
    mark = f"Mark {next(web.names)}"
    page.evaluate("mark => { nextbest.track(mark); nextbest.use(core => core.flush()) }", mark)
    until(lambda: mark in web.stored(visitor).tracked, f"{mark} is stored")
    found = web.stored(visitor).tracked
    return {name: n for name, n in found.items() if not name.startswith("Mark ")}


# --- pages ----------------------------------------------------------------------------------------------------


def test_each_view_is_one_page_event(web: VisitedSite, page: Page) -> None:
    with_clock(page)
    first = write(web, "pages")
    page.goto(first)
    page.clock.run_for(200)
    page.evaluate(
        """() => { history.pushState({}, "", "/redirects"); history.replaceState({}, "", "/next?size=9") }"""
    )
    page.evaluate("document.title = 'The next'")
    page.clock.run_for(200)
    page.evaluate("location.hash = 'part'")
    page.clock.run_for(200)
    visitor = id_of(page)
    after(web, page, visitor)
    found = [each.properties for each in views(web, visitor)]
    assert [(each["path"], each["title"], each["referrer"]) for each in found] == [
        (first.removeprefix(web.origin), "A page", ""),
        ("/next", "The next", first),
    ]
    assert found[1]["url"] == f"{web.origin}/next?size=9"
    assert [each.context["page"] for each in views(web, visitor)] == found


def test_who_comes_back_by_the_back_button_sees_the_page_once_more(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "pages time"))
    visitor = id_of(page)
    until(lambda: len(views(web, visitor)) == 1, "1 of its views are stored")
    page.goto(away(web))
    page.go_back(wait_until="commit")
    page.wait_for_function("window.restored === 1")
    until(lambda: len(views(web, visitor)) == 2, "2 of its views are stored")
    page.goto(away(web))
    until(lambda: len(properties(web, visitor, PAGE_LEFT)) == 2, "both views ended")
    assert len(views(web, visitor)) == 2


def test_the_campaign_stays_as_long_as_the_tab(web: VisitedSite, page: Page) -> None:
    page.goto(
        write(web, "pages") + "?utm_source=letter&utm_medium=mail&utm_campaign=spring&utm_term=t&utm_content=c"
    )
    page.goto(write(web, "pages"))
    page.evaluate("nextbest.track('Later')")
    visitor = id_of(page)
    after(web, page, visitor)
    campaign = {"source": "letter", "medium": "mail", "name": "spring", "term": "t", "content": "c"}
    (later,) = [each for each in web.stored(visitor).tracks if each.event == "Later"]
    assert later.context["campaign"] == campaign
    until(lambda: len(views(web, visitor)) == 2, "both views are stored")
    assert [each.context["campaign"] for each in views(web, visitor)] == [campaign, campaign]
    assert segments(web, visitor) == ["came_by_letter"]


# --- time and scroll ------------------------------------------------------------------------------------------


def test_a_view_ends_once_with_the_time_it_was_looked_at_and_the_depth_it_was_scrolled_to(
    web: VisitedSite, page: Page
) -> None:
    with_clock(page)
    address = write(web, "time scroll", TALL.format(height=3_000))
    page.goto(address)
    page.clock.run_for(200)
    page.evaluate("scrollTo(0, 1700)")  # 2,300 of 3,000 px and a margin
    page.clock.run_for(30_000)
    page.evaluate("scrollTo(0, 0)")
    hide(page)
    page.clock.run_for(20_000)
    hide(page, hidden=False)
    page.clock.run_for(5_000)
    hide(page)
    page.clock.run_for(31_000)
    hide(page, hidden=False)
    page.clock.run_for(9_000)
    visitor = id_of(page)
    page.goto(away(web))
    until(lambda: bool(properties(web, visitor, PAGE_LEFT)), "the view ended")
    (left,) = properties(web, visitor, PAGE_LEFT)
    assert (left["url"], left["visibleSeconds"], left["scrollPercent"]) == (address, 35, 75)
    assert segments(web, visitor) == ["reads"]


def test_nobody_reads_for_longer_than_a_minute_without_a_sign(web: VisitedSite, page: Page) -> None:
    with_clock(page)
    page.goto(write(web, "time"))
    page.clock.run_for(200)
    page.clock.run_for(90_000)
    page.keyboard.press("Shift")
    page.clock.run_for(30_000)
    visitor = id_of(page)
    page.goto(away(web))
    until(lambda: bool(properties(web, visitor, PAGE_LEFT)), "the view ended")
    (left,) = properties(web, visitor, PAGE_LEFT)
    assert left["visibleSeconds"] == 90
    assert "scrollPercent" not in left


def test_each_page_within_a_document_is_left_by_its_own_address(web: VisitedSite, page: Page) -> None:
    with_clock(page)
    first = write(web, "time scroll")
    page.goto(first)
    page.clock.run_for(3_100)
    page.evaluate("""() => { history.pushState({}, "", "/second") }""")
    page.clock.run_for(2_100)
    visitor = id_of(page)
    page.goto(away(web))
    until(lambda: len(properties(web, visitor, PAGE_LEFT)) == 2, "both views ended")
    found = [
        (each["url"], each["visibleSeconds"], each["scrollPercent"]) for each in properties(web, visitor, PAGE_LEFT)
    ]
    assert found == [(first, 3, 100), (f"{web.origin}/second", 2, 100)]


# --- forms ----------------------------------------------------------------------------------------------------

FIELDS = """
<input name="email" data-nextbest-trait value=" eve@shop.example ">
<input name="n" type="number" data-nextbest-trait="age" value="41">
<input name="news" type="checkbox" data-nextbest-trait checked>
<select name="plan" data-nextbest-trait><option>free</option><option selected>pro</option></select>
<input name="unmarked" value="mine">
<input name="empty" data-nextbest-trait>
<input name="secret" type="password" data-nextbest-trait value="secret">
<input name="token" type="hidden" data-nextbest-trait value="secret">
<input name="card" autocomplete="cc-number" data-nextbest-trait value="secret">
<input name="code" autocomplete="shipping one-time-code" data-nextbest-trait value="secret">
<input name="note" data-nextbest-trait value="4111 1111 1111 1111">
<input name="customer" value="c-7">
<button>Send</button>
"""
TRAITS = {"email": "eve@shop.example", "age": 41, "news": True, "plan": "pro"}


def submit(page: Page) -> None:
    page.evaluate("addEventListener('submit', event => event.preventDefault())")
    page.click("button")


def test_a_form_tells_its_marked_fields_and_no_secret(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "forms", f"<form data-nextbest-identify>{FIELDS}</form>"))
    submit(page)
    visitor = id_of(page)
    after(web, page, visitor)
    assert [(each.user_id, each.traits) for each in identified(web, f"a:{visitor}")] == [(None, TRAITS)]
    assert {name: web.site.state(f"a:{visitor}").traits[name] for name in TRAITS} == TRAITS


def test_a_form_logs_in_by_the_field_it_names(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "forms", f'<form data-nextbest-identify="customer">{FIELDS}</form>'))
    visitor = id_of(page)
    submit(page)
    until(lambda: bool(identified(web, "u:c-7")), "the user is identified")
    assert [(each.anonymous_id, each.traits) for each in identified(web, "u:c-7")] == [(visitor, TRAITS)]


def test_a_form_that_is_an_event_is_one(web: VisitedSite, page: Page) -> None:
    form = '<form data-nextbest-track="Lead Sent"><input name="topic" data-nextbest-property value="shoes">'
    page.goto(
        write(web, "forms conversions", form + '<input name="email" value="e@x.example"><button>Go</button></form>')
    )
    submit(page)
    visitor = id_of(page)
    after(web, page, visitor)
    assert properties(web, visitor, "Lead Sent") == [{"topic": "shoes"}]


# --- conversions and links ------------------------------------------------------------------------------------


def test_a_marked_element_is_an_event_by_click(web: VisitedSite, page: Page) -> None:
    bought = 'data-nextbest-track="Bought" data-nextbest-value="12.5" data-nextbest-currency="EUR"'
    body = f'<button {bought} data-nextbest-properties=\'{{"plan": "pro"}}\'><b>Buy</b></button>'
    body += '<button id="faulty" data-nextbest-track="Faulty" data-nextbest-properties="{">Faulty</button>'
    page.goto(write(web, "conversions", body))
    page.click("#faulty")
    page.dblclick("b")
    page.focus("button")
    page.keyboard.press("Enter")
    visitor = id_of(page)
    found = after(web, page, visitor)
    once = {"plan": "pro", "value": 12.5, "currency": "EUR"}
    assert properties(web, visitor, "Bought") == [once, once]
    assert found == {"Bought": 2}


def test_links_that_lead_away_and_files_are_events_without_their_queries(web: VisitedSite, page: Page) -> None:
    page.route("https://other.example/**", lambda route: route.abort())
    links = ["https://other.example/a?mail=me", "/files/price.pdf?t=1", "#here", "mailto:me@x.example"]
    body = "".join(f'<a id="l{n}" href="{link}">{link}</a> ' for n, link in enumerate(links))
    page.goto(write(web, "links", body))
    page.evaluate("addEventListener('click', event => event.preventDefault())")
    for n in range(len(links)):
        page.click(f"#l{n}")
    visitor = id_of(page)
    found = after(web, page, visitor)
    assert found == {"Outbound Link Clicked": 1, "File Downloaded": 1}
    assert properties(web, visitor, "Outbound Link Clicked") == [
        {"url": "https://other.example/a", "host": "other.example"}
    ]
    assert properties(web, visitor, "File Downloaded") == [
        {"url": f"{web.origin}/files/price.pdf", "fileName": "price.pdf"}
    ]


# --- consent managers -----------------------------------------------------------------------------------------

GTAG = "window.dataLayer = window.dataLayer || []; function gtag() { dataLayer.push(arguments) }"


def google(kind: str, **types: bool) -> str:
    said = {name: "granted" if is_granted else "denied" for name, is_granted in types.items()}
    return f"gtag('consent', '{kind}', {json.dumps(said)})"


def test_google_consent_mode_is_followed(web: VisitedSite, page: Page) -> None:
    default = f"<script>{GTAG}; {google('default', personalization_storage=False, ad_storage=False)}</script>"
    page.goto(write(web, "consent pages", before=default, key="pk_asked"))
    assert page.context.cookies() == []
    page.evaluate(
        google("update", personalization_storage=True, ad_storage=True, ad_personalization=False) + "; undefined"
    )
    visitor = id_of(page)
    after(web, page, visitor)
    granted = {"personalization": True, "advertising": False}
    until(lambda: web.site.granted(f"a:{visitor}") == granted, "what was agreed to is stored")
    page.evaluate(google("update", personalization_storage=False) + "; undefined")
    assert page.context.cookies() == []
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the withdrawal is stored")


def test_what_google_was_told_before_the_script_came_counts(web: VisitedSite, page: Page) -> None:
    said = f"<script>{GTAG}; {google('update', personalization_storage=True)}</script>"
    page.goto(write(web, "consent", before=said, key="pk_asked"))
    visitor = id_of(page)
    until(lambda: web.site.granted(f"a:{visitor}") == {"personalization": True}, "the answer is stored")


def test_a_default_is_no_answer_and_never_widens(web: VisitedSite, page: Page) -> None:
    default = f"<script>{GTAG}; {google('default', personalization_storage=True, analytics_storage=True)}</script>"
    sent = posts(page)
    page.goto(write(web, "consent pages", before=default, key="pk_asked"))
    page.evaluate("nextbest.track('Waits')")
    page.goto(away(web))
    assert sent == []
    assert page.context.cookies() == []


def test_a_default_that_denies_holds_back_where_the_source_grants(web: VisitedSite, page: Page) -> None:
    default = f"<script>{GTAG}; {google('default', personalization_storage=False)}</script>"
    page.goto(write(web, "consent", before=default))
    sent = posts(page)
    page.evaluate("nextbest.track('Waits')")
    page.evaluate("new Promise(done => setTimeout(done, 1500))")  # longer than a batch waits
    assert sent == []
    page.evaluate(google("update", personalization_storage=True) + "; undefined")
    visitor = id_of(page)
    assert after(web, page, visitor)["Waits"] == 1


TCF = """<script>
const listeners = [];
window.__tcfapi = (command, version, listener) => {
    if (command === "addEventListener" && version === 2) listeners.push(listener);
};
function tcf(eventStatus, consents, more) {
    const said = {eventStatus, gdprApplies: true, purpose: {consents}, ...more};
    for (const listener of listeners) listener(said, true);
}
</script>"""


def test_tcf_is_followed(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "consent", before=TCF, key="pk_asked"))
    page.evaluate("tcf('cmpuishown', {1: true, 5: true, 6: true, 8: true})")
    page.evaluate("tcf('tcloaded', {1: true, 5: true, 6: true, 8: true}, {gdprApplies: false})")
    assert page.context.cookies() == []
    page.evaluate("tcf('useractioncomplete', {1: true, 3: true, 5: true, 6: true, 8: true})")
    visitor = id_of(page)
    after(web, page, visitor)
    assert web.site.granted(f"a:{visitor}") == {"personalization": True, "analytics": True, "advertising": False}
    page.evaluate("tcf('useractioncomplete', {1: true, 5: true, 6: false, 8: true})")
    assert page.context.cookies() == []
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the withdrawal is stored")


def test_the_page_may_say_which_purpose_rests_on_what(web: VisitedSite, page: Page) -> None:
    mapped = 'data-consent-map="personalization = analytics_storage 8; mail = functionality_storage"'
    said = f"<script>{GTAG}; {google('update', analytics_storage=True, functionality_storage=False)}</script>"
    page.goto(write(web, "consent", before=TCF + said, key="pk_asked", more=mapped))
    visitor = id_of(page)
    until(
        lambda: web.site.granted(f"a:{visitor}") == {"personalization": True, "mail": False}, "the answer is stored"
    )
    page.evaluate("tcf('tcloaded', {8: false})")  # one manager's no outweighs the other's yes
    until(lambda: web.site.granted(f"a:{visitor}").get("personalization") is False, "the no is stored")


@pytest.mark.parametrize("refusal", ["never asked", "refused", "by the browser"])
def test_without_a_grant_no_switch_keeps_or_sends_anything(web: VisitedSite, page: Page, refusal: str) -> None:
    if refusal == "by the browser":
        page.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    before = web.n_stored()
    switches = "consent offline pages time scroll forms conversions links"
    key = "pk_private" if refusal == "by the browser" else "pk_asked"
    body = f"<form data-nextbest-identify>{FIELDS}</form>" + '<b data-nextbest-track="Bought">b</b>'
    page.goto(write(web, switches, body, key, before=TCF) + "?utm_source=letter")
    page.context.set_offline(True)
    page.click("b")
    submit(page)
    hide(page)
    hide(page, hidden=False)
    page.context.set_offline(False)
    assert not {"getItem", "setItem", "set cookie"} & set(page.evaluate("window.reads"))
    if refusal == "refused":
        page.evaluate("tcf('useractioncomplete', {1: false})")
    page.evaluate("new Promise(done => setTimeout(done, 1200))")  # longer than a batch waits
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert page.context.cookies() == []
    page.goto(away(web))
    assert web.n_stored() == before


# --- offline --------------------------------------------------------------------------------------------------

KEEP = """([name, anonymousId, hours]) => {
    const item = {type: "track", event: name, messageId: name, anonymousId, context: {}, timestamp: new Date()};
    const atMs = Date.now() - hours * 3_600_000;
    localStorage.setItem(`nextbest/pk_dev/${name}`, JSON.stringify({list: "events", atMs, item}));
}"""
KEPT = "Object.keys(localStorage).filter(key => key.startsWith('nextbest/')).length"


def test_what_a_page_could_not_send_the_next_one_sends_once(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline time"))
    visitor = id_of(page)
    page.route("**/v1/events*", lambda route: route.abort())
    # What a browser without a network says of a beacon, and does.
    page.evaluate("navigator.sendBeacon = () => true")
    page.evaluate("nextbest.track('Failed')")
    page.wait_for_function(f"{KEPT} === 1")
    page.evaluate("nextbest.track('At last')")
    page.goto(away(web))
    page.wait_for_function(f"{KEPT} === 3")
    assert web.stored(visitor).tracked == {}
    page.unroute("**/v1/events*")
    page.goto(write(web, "offline"))
    assert after(web, page, visitor) == {"Failed": 1, "At last": 1, PAGE_LEFT: 1}
    page.wait_for_function(f"{KEPT} === 0")
    page.goto(write(web, "offline"))
    assert after(web, page, visitor)["Failed"] == 1


def test_what_waits_is_sent_when_the_browser_is_online_again(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline"))
    visitor = id_of(page)
    page.context.set_offline(True)
    page.evaluate("nextbest.track('Offline')")
    page.wait_for_function(f"{KEPT} === 1")
    page.context.set_offline(False)
    until(lambda: page.evaluate(KEPT) == 0, "nothing waits")
    assert after(web, page, visitor) == {"Offline": 1}


def test_what_the_server_refuses_is_not_kept(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline"))
    visitor = id_of(page)
    page.route("**/v1/events*", lambda route: route.abort())
    page.evaluate("nextbest.track('Refused')")
    page.wait_for_function(f"{KEPT} === 1")
    page.unroute("**/v1/events*")
    page.route(
        "**/v1/events*", lambda route: route.fulfill(status=400, headers={"access-control-allow-origin": "*"})
    )
    page.wait_for_function(f"{KEPT} === 0")
    page.unroute("**/v1/events*")
    page.goto(write(web, "offline"))
    assert after(web, page, visitor) == {}


def test_no_more_is_kept_than_a_hundred_and_the_newest(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline"))
    page.wait_for_load_state("networkidle")  # what the page says of itself has arrived
    page.context.set_offline(True)
    page.evaluate("nextbest.track('The first')")
    page.wait_for_function("Object.values(localStorage).every(each => Date.now() > JSON.parse(each).atMs)")
    page.evaluate("for (let n = 0; n < 100; n++) nextbest.track('Offline')")
    kept = page.evaluate("Object.values(localStorage)")
    assert [json.loads(each)["item"]["event"] for each in kept] == ["Offline"] * 100


def test_what_waited_for_more_than_a_day_is_dropped(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline"))
    visitor = id_of(page)
    page.goto(away(web))
    page.evaluate(KEEP, ["Too old", visitor, 24.1])
    page.evaluate(KEEP, ["Young", visitor, 23.9])
    page.goto(write(web, "offline"))
    assert after(web, page, visitor) == {"Young": 1}
    assert page.evaluate(KEPT) == 0


def test_a_withdrawal_deletes_what_waits(web: VisitedSite, page: Page) -> None:
    page.goto(write(web, "offline pages") + "?utm_source=letter")
    visitor = id_of(page)
    page.context.set_offline(True)
    page.evaluate("nextbest.track('Offline')")
    page.wait_for_function(f"{KEPT} > 0")
    page.evaluate("nextbest.consent({personalization: false})")
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.evaluate(KEEP, ["Left by a page without the switch", visitor, 0])
    page.context.set_offline(False)
    page.goto(write(web, "offline"))
    page.wait_for_function(f"{KEPT} === 0")
    page.goto(away(web))
    assert web.stored(visitor).tracked.keys() <= {"Consent Updated"}


# --- where it may run -----------------------------------------------------------------------------------------


def test_every_switch_works_under_a_strict_policy(web: VisitedSite, page: Page) -> None:
    policy = (
        f"default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; connect-src {web.site.up.url}; "
        "require-trusted-types-for 'script'; trusted-types nextbest; img-src data:"
    )
    head = f'<meta http-equiv="content-security-policy" content="{policy}">'
    body = '<b data-nextbest-track="Bought">b</b>'
    switches = "consent offline pages time scroll forms conversions links"
    page.goto(write(web, switches, body, before=head, more='nonce="n1"'))
    page.click("b")
    visitor = id_of(page)
    assert after(web, page, visitor) == {"Bought": 1}
    assert page.evaluate("window.violations") == []


def test_a_switch_that_does_not_exist_is_named(web: VisitedSite, page: Page) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(write(web, "pages scrol"))
    id_of(page)
    assert any("no switch is called scrol" in each and "scroll" in each for each in said)
