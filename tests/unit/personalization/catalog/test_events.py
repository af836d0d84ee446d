"""A meaning stands wherever an event may, and every mistake in a mapping is named with its remedy."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from msgspec import structs

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import (
    AffinityRule,
    AffinitySpec,
    Catalog,
    Content,
    Conversion,
    EventMapping,
    Events,
    ListedProduct,
    Placement,
    RewardRule,
    Score,
)
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.catalog.event_presets import COMMERCE, PRESETS
from personalization.catalog.rule_errors import rule_errors
from personalization.catalog.rules import EVENT_VARIABLES, Rule
from personalization.catalog.sections.events import MEANINGS
from personalization.catalog.sections.scores import EventPoints
from personalization.events.entry import decode_entry
from personalization.events.event import ClientEvent, Page, Track
from personalization.events.event_fields import field_value
from personalization.events.event_scope import at_path, event_scope
from personalization.visitor.visitor_state import MAX_COUNTS
from tests.unit.personalization.events_world import own, world_of
from tests.unit.personalization.world import MINUTE, World

VIEWS = ("Product Viewed", "view_item", "product_viewed", "Artikel angesehen", "viewed")
EVERYBODYS = Events(presets=("segment", "ga4", "shopify"), viewed=(EventMapping(event="Artikel angesehen"),))


def mistakes(events: Events) -> dict[str, str]:
    content = {"a": Content()}
    try:
        compile_catalog(Catalog(placements={}, content=content, events=events), 1)
    except InvalidCatalog as error:
        return {each.field: each.message for each in error.errors}
    return {}


def scope_of(world: World, key: str = "a:1") -> VisitorScope:
    return VisitorScope(world.visitors[key].state, {}, world.catalog, world.now_ms, known=False)


def test_an_affinity_written_once_is_raised_by_everybodys_events() -> None:
    rule = AffinityRule(event="viewed", key="fields.category")
    world = world_of(EVERYBODYS, affinities={"category": AffinitySpec(rules=(rule,), half_life_ms=None)})
    world.track("a:1", "Product Viewed", category="shoes")
    world.track("a:1", "view_item", items=[{"item_category": "shoes"}, {"item_category": "hats"}])
    world.track("a:1", "product_viewed", productVariant={"product": {"type": "shoes"}})
    world.track("a:1", "add_to_cart", items=[{"item_category": "shoes"}])
    assert world.visitors["a:1"].state.affinities["category"].weights == {"shoes": 3.0, "hats": 1.0}


@pytest.mark.parametrize("name", ["Order Completed", "purchase", "ordered"])
def test_a_reward_written_once_is_earned_by_everybodys_events(name: str) -> None:
    reward = RewardRule(event="ordered", value="fields.revenue / 100.0")
    terms = {"attribution": "last_exposed", "window_ms": 30 * MINUTE, "reward_range": (0.0, 2.0)}
    hero = Placement(content=("red",), default="red", rewards=(reward,), **terms)  # type: ignore[arg-type]  # of several kinds
    world = world_of(EVERYBODYS, placements={"hero": hero})
    world.decide("a:1", "d1")
    world.track("a:1", name, value="50.00")
    world.track("a:1", "Product Viewed", value=70)
    world.time_out("a:1", after_ms=30 * MINUTE)
    assert [(outcome.reward, outcome.choice.arm) for outcome in world.outcomes] == [(0.5, "red")]


def test_windows_counts_and_scores_take_a_meaning_for_an_event() -> None:
    world = world_of(
        EVERYBODYS,
        segments={
            "keen": f'count("viewed", within="7d") >= {len(VIEWS)}',
            "spent": 'sum("ordered", of="fields.revenue", within="7d") > 10',
            "looking": f"counts.viewed > {len(VIEWS)} - 0.5",
        },
        scores={"interest": Score(events=(EventPoints(event="viewed", points=2.0),), tiers={"low": 0, "high": 10})},
    )
    for name in VIEWS[:-1]:
        world.track("a:1", name)
    assert not {"keen", "looking"} & set(scope_of(world).value("segments"))
    world.track("a:1", VIEWS[-1])
    world.track("a:1", "purchase", value="11.00")
    scope = scope_of(world)
    assert set(scope.value("segments")) == {"keen", "spent", "looking"}
    assert scope.value("counts")["viewed"] == pytest.approx(len(VIEWS))
    tiers = [each.event.tier for _, each in told(world) if hasattr(each.event, "tier")]
    assert tiers == ["high"], "a tier is told, whatever the event was called"


def told(world: World) -> list[tuple[str, Any]]:
    return [(key, decode_entry(data)) for key, data in world.log]


def test_the_state_holds_nothing_more_for_a_meaning() -> None:
    world = world_of(EVERYBODYS, segments={"looking": "counts.viewed > 1.5"})
    for name in VIEWS[:2]:
        world.track("a:1", name)
    assert set(world.visitors["a:1"].state.counts) == set(VIEWS[:2])


def test_events_of_a_meaning_that_is_named_always_have_a_place() -> None:
    world = world_of(EVERYBODYS, segments={"looking": "counts.viewed > 0.5"})
    world.track("a:1", "view_item")
    for n in range(MAX_COUNTS + 10):
        world.track("a:1", f"other {n}")
        world.track("a:1", f"other {n}")
    assert "view_item" in world.visitors["a:1"].state.counts


def test_a_conversion_may_be_a_meaning() -> None:
    world = world_of(EVERYBODYS, conversions={"buys": Conversion(event="ordered")})
    assert {"Order Completed", "purchase", "checkout_completed"} <= world.catalog.conversions_by_event.keys()


def test_a_segment_of_the_cart_is_left_by_everybodys_order() -> None:
    world = world_of(EVERYBODYS, segments={"full": 'cart_value > 10 && never("Login")'})
    world.track("a:1", "add_to_cart", items=[{"item_id": "a", "price": 20}])
    world.track("a:1", "purchase", value=20)
    entered = [each.event.entered for _, each in told(world) if hasattr(each.event, "entered")]
    assert entered == [True, False]


def test_without_events_a_word_is_an_events_own_name() -> None:
    rule = AffinityRule(event="viewed", key="properties.category")
    world = world_of(None, affinities={"category": AffinitySpec(rules=(rule,), half_life_ms=None)})
    world.track("a:1", "Product Viewed", category="shoes")
    world.track("a:1", "viewed", category="hats")
    assert world.visitors["a:1"].state.affinities["category"].weights == {"hats": 1.0}


def test_mails_are_opened_and_followed_whoever_sends_them() -> None:
    presets: Any = ("email", "sendgrid", "mailgun", "postmark", "support", "social")
    rules = {name: f"counts.{name} > 0.5" for name in ("email_clicked", "ticket_solved", "shared", "unsubscribed")}
    sent = {
        "email_clicked": ("Email Link Clicked", "click", "clicked", "Click"),
        "unsubscribed": ("Unsubscribed", "unsubscribe", "unsubscribed", "group_unsubscribe"),
        "ticket_solved": ("Ticket Solved", "conversation.admin.closed"),
        "shared": ("Shared", "shared"),
    }
    world = world_of(Events(presets=presets), segments=rules)
    for meaning, names in sent.items():
        for name in names:
            world.track(f"a:{name}", name)
            assert scope_of(world, f"a:{name}").value("segments") == [meaning], name


def test_a_page_may_be_a_view() -> None:
    world = world_of(own(viewed=EventMapping(event="page", category="properties.section")))
    page = Page(message_id="1", properties={"section": "sport"})
    assert at_path(page, ("fields", "category"), world.catalog) == "sport"
    assert "page" in world.catalog.events.names("viewed")


def test_an_event_that_names_a_content_has_its_features() -> None:
    likes = AffinitySpec(
        rules=(AffinityRule(event="Teaser Clicked", key="content.features.section"),), half_life_ms=None
    )
    content = {"red": Content(), "t1": Content(features={"section": ("sport", "news")})}
    world = world_of(Events(), content=content, affinities={"section": likes})
    sent: tuple[dict[str, Any], ...] = (
        {"contentId": "t1"},
        {"content_id": "t1"},
        {"product_id": "t1"},
        {"contentId": "gone"},
    )
    for properties in sent:
        world.track("a:1", "Teaser Clicked", **properties)
    world.send(
        "a:1",
        Track(message_id="i", event="Teaser Clicked", properties={"contentId": "i1"}, item={"section": "arts"}),
    )
    assert world.visitors["a:1"].state.affinities["section"].weights == {"sport": 3.0, "news": 3.0, "arts": 1.0}


def test_a_rule_may_look_at_the_content_and_the_fields() -> None:
    world = world_of(
        Events(currency="EUR", rates={"USD": 0.5}), content={"red": Content(features={"section": "sport"})}
    )
    event = Track(message_id="m", event="x", properties={"contentId": "red", "total": "8.00", "currency": "USD"})
    scope = event_scope(event, world.catalog)
    for rule in (
        'content.features.section == "sport"',
        "fields.revenue == 4.0",
        'content.id == "red"',
        "!has(fields.price)",
    ):
        assert Rule(rule, "when", EVENT_VARIABLES).holds(scope), rule


@pytest.mark.parametrize(
    ("event", "name", "value"),
    [
        (Track(message_id="m", event="x", properties={"product_id": 7}), "id", "7"),
        (
            Track(message_id="m", event="x", properties={"products": [{"sku": "a"}, 5, {"sku": 9}]}),
            "id",
            ["a", "9"],
        ),
        (Track(message_id="m", event="x", properties={"products": [{"price": "3"}]}), "price", 3.0),
        (Track(message_id="m", event="x", properties={"products": [{"price": 3}, {"price": 4}]}), "price", None),
        (Track(message_id="m", event="x", properties={"rating": "4"}), "rating", 4.0),
        (Track(message_id="m", event="x", properties={"products": "none"}), "category", None),
        (Page(message_id="m"), "id", None),
    ],
)
def test_fields_are_found_where_senders_usually_put_them(event: ClientEvent, name: str, value: Any) -> None:
    assert field_value(event, world_of(Events()).catalog.events, name) == value


@pytest.mark.parametrize(
    ("events", "where", "remedy"),
    [
        (own(ordered=EventMapping(event="B", id="room_id")), "events.ordered.id", "properties.room_id"),
        (own(ordered=EventMapping(event="B", id="propertys.room")), "events.ordered.id", "'properties'"),
        (own(ordered=EventMapping(event="B", products="a b")), "events.ordered.products", "properties."),
        (own(ordered=EventMapping(event="B", price="fields.price + 1.0")), "events.ordered.price", "known here"),
        (own(ordered=EventMapping(event="B", price="properties.a *")), "events.ordered.price", ""),
        (
            own(ordered=EventMapping(event="B"), viewed=EventMapping(event="B")),
            "events.ordered",
            "'viewed' already, at events.viewed; keep one",
        ),
        (own(ordered=EventMapping(event="viewed")), "events.ordered.event", "write it under viewed"),
        (
            own(ordered=EventMapping(event="B", product=ListedProduct(id="properties.lines.nr"))),
            "events.ordered.product.id",
            "such as nr",
        ),
        (own(ordered=EventMapping(event=" Sold")), "events.ordered.event", "take them out"),
        (own(ordered=EventMapping(event="identify")), "events.ordered.event", "tells of the ordered"),
        (Events(currency="Euro"), "events.currency", "such as EUR"),
        (Events(rates={"USD": 1.0}), "events.rates", "write currency: EUR"),
        (Events(currency="EUR", rates={"USD": 0.0}), "events.rates.USD", "above 0"),
        (Events(presets=("ga4", "ga4")), "events.presets[1]", "leave it out"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(events: Events, where: str, remedy: str) -> None:
    found = mistakes(events)
    assert list(found) == [where]
    assert remedy in found[where]


def test_presets_go_together() -> None:
    everything: Any = tuple(PRESETS)
    assert mistakes(Events(presets=everything)) == {}
    for preset in PRESETS.values():
        for name, meaning in preset.names.items():
            assert meaning == name or name not in MEANINGS, f"{name} would mean itself, not {meaning}"
    for one, other in itertools.combinations(PRESETS.values(), 2):
        for name in one.names.keys() & other.names.keys():
            assert one.names[name] == other.names[name], name


def test_each_meaning_can_be_written_and_is_had_by_some_preset() -> None:
    had = {meaning for preset in PRESETS.values() for meaning in preset.names.values()}
    assert had == set(MEANINGS) >= COMMERCE
    assert [name for name in Events.__struct_fields__ if name in MEANINGS] == list(MEANINGS)


def test_a_name_longer_than_counts_keep_is_counted_for_its_meaning() -> None:
    name = "Article about the longest name that anybody ever gave to an event was read"
    world = world_of(own(viewed=EventMapping(event=name)), segments={"reads": "counts.viewed > 0.5"})
    world.track("a:1", name)
    assert scope_of(world).value("segments") == ["reads"]


@pytest.mark.parametrize(
    ("name", "holder"), [("collection_viewed", "collection"), ("search_submitted", "searchResult")]
)
def test_what_a_shopify_list_shows_has_categories(name: str, holder: str) -> None:
    variants = [{"id": "1", "product": {"id": "7", "type": "shirt"}, "price": {"amount": 50}}]
    event = Track(message_id="m", event=name, properties={holder: {"productVariants": variants}})
    events = world_of(Events(presets=("shopify",))).catalog.events
    assert field_value(event, events, "category") == ["shirt"]
    assert field_value(event, events, "id") == ["7"]
    assert field_value(event, events, "revenue") is None, "nothing was bought"


def mailed(*, rules: dict[str, str], presets: Any = ("mailgun", "postmark", "support"), **own_: Any) -> World:
    return world_of(Events(presets=presets, **own_), segments=rules)


@pytest.mark.parametrize(
    ("name", "properties", "meaning"),
    [
        ("failed", {"severity": "permanent"}, "email_bounced"),
        ("failed", {"severity": "temporary"}, ""),
        ("failed", {}, ""),
        ("SubscriptionChange", {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}, "unsubscribed"),
        ("SubscriptionChange", {"SuppressSending": True, "SuppressionReason": "HardBounce"}, ""),
        ("SubscriptionChange", {"SuppressSending": False, "SuppressionReason": None}, ""),
        ("zen:event-type:ticket.status_changed", {"event": {"current": "SOLVED"}}, "ticket_solved"),
        ("zen:event-type:ticket.status_changed", {"event": {"current": "OPEN"}}, ""),
    ],
)
def test_an_event_may_mean_something_where_a_condition_holds(
    name: str, properties: dict[str, Any], meaning: str
) -> None:
    rules = {each: f"counts.{each} > 0.5" for each in ("email_bounced", "unsubscribed", "ticket_solved")}
    world = mailed(rules=rules)
    world.track("a:1", name, **properties)
    assert scope_of(world).value("segments") == ([meaning] if meaning else [])
    assert set(world.visitors["a:1"].state.counts) == {meaning or name}, "it is counted once, as what it is"


def test_a_condition_decides_what_every_part_of_the_fold_makes_of_an_event() -> None:
    paid = EventMapping(event="page", when='properties.path == "/thanks"', revenue="properties.sum")
    likes = AffinityRule(event="ordered", key="properties.section")
    hero = Placement(
        content=("red",),
        default="red",
        attribution="last_exposed",
        window_ms=30 * MINUTE,
        rewards=(RewardRule(event="ordered", value="fields.revenue / 100.0"),),
    )
    world = world_of(
        own(ordered=paid),
        placements={"hero": hero},
        affinities={"section": AffinitySpec(rules=(likes,), half_life_ms=None)},
        segments={"bought": 'count("ordered", within="7d") >= 1', "browsed": 'count("page", within="7d") >= 1'},
        scores={"worth": Score(events=(EventPoints(event="ordered", points=2.0),), tiers={"low": 0, "high": 2})},
        conversions={"buys": Conversion(event="ordered", horizon_ms=30 * MINUTE)},
    )
    world.decide("a:1", "d1")

    def see(path: str) -> None:
        world.send("a:1", Page(message_id=path, properties={"path": path, "sum": 40, "section": "sport"}))

    see("/")
    state = world.visitors["a:1"].state
    assert (state.n_orders, scope_of(world).value("segments"), state.affinities) == (0, ["browsed"], {})
    see("/thanks")
    state = world.visitors["a:1"].state
    assert (state.revenue, state.n_orders) == (40.0, 1)
    assert set(scope_of(world).value("segments")) == {"bought", "browsed"}
    assert state.affinities["section"].weights == {"sport": 1.0}
    assert [each.event.tier for _, each in told(world) if hasattr(each.event, "tier")] == ["high"]
    entered = [each.event.segment for _, each in told(world) if hasattr(each.event, "entered")]
    assert entered == ["browsed", "bought"]
    world.time_out("a:1", after_ms=30 * MINUTE)
    assert [outcome.reward for outcome in world.outcomes] == [0.4]
    assert [example.label for example in world.examples] == [False, True]


def test_of_several_conditions_the_first_that_holds_decides_and_else_what_the_event_always_means() -> None:
    events = Events(
        viewed=(EventMapping(event="Sent"),),
        ordered=(EventMapping(event="Sent", when="properties.n > 1"), EventMapping(event="Sent", when="true")),
        refunded=(EventMapping(event="Sent", when="properties.n > 1"),),
    )
    assert mistakes(events) == {"events.refunded": events_mistake()}
    events = structs.replace(events, refunded=(), ordered=events.ordered[:1])
    world = world_of(events)
    world.track("a:1", "Sent", n=2, total=5)
    world.track("a:1", "Sent", n=1, total=5)
    world.track("a:1", "Sent", total=5)
    state = world.visitors["a:1"].state
    assert (state.revenue, {name: round(each.value) for name, each in state.counts.items()}) == (
        5.0,
        {"ordered": 1, "Sent": 2},
    )


def events_mistake() -> str:
    return "'Sent' means 'ordered' already, at events.ordered[0]; keep one of them"


def test_an_own_mapping_goes_before_the_condition_of_a_preset() -> None:
    world = mailed(rules={}, email_bounced=(EventMapping(event="failed"),))
    world.track("a:1", "failed", severity="temporary")
    assert world.catalog.events.meaning("failed") == "email_bounced"
    assert world.catalog.events.conditions.keys() == {"SubscriptionChange", "zen:event-type:ticket.status_changed"}


@pytest.mark.parametrize(
    ("when", "remedy"),
    [("fields.price > 1", "known here"), ("properties.paid ==", "CEL"), ("segments.size() > 1", "unknown name")],
)
def test_a_condition_looks_at_what_was_sent_alone(when: str, remedy: str) -> None:
    found = mistakes(own(ordered=EventMapping(event="B", when=when)))
    assert list(found) == ["events.ordered.when"]
    assert remedy in found["events.ordered.when"]


def test_an_event_of_several_products_raises_the_affinity_for_each() -> None:
    likes = AffinitySpec(rules=(AffinityRule(event="ordered", key="content.features.section"),), half_life_ms=None)
    content = {
        "red": Content(),
        "t1": Content(features={"section": ("sport", "news")}),
        "t2": Content(features={"section": "sport"}),
    }
    world = world_of(Events(), content=content, affinities={"section": likes})
    products = [{"product_id": name} for name in ("t1", "t2", "gone")]
    world.send(
        "a:1",
        Track(
            message_id="i", event="Order Completed", properties={"products": products}, item={"section": ("arts",)}
        ),
    )
    assert world.visitors["a:1"].state.affinities["section"].weights == {"sport": 2.0, "news": 1.0, "arts": 1.0}


def test_a_content_is_named_by_a_number_too() -> None:
    content = {"7": Content(features={"section": "sport"})}
    world = world_of(Events(), content={"red": Content(), **content})
    event = Track(message_id="m", event="x", properties={"contentId": 7, "product_id": "other"})
    assert at_path(event, ("content", "features", "section"), world.catalog) == "sport"


def test_amounts_of_two_currencies_that_are_added_up_are_told_of() -> None:
    for currency in ("", "any"):
        world = world_of(Events(currency=currency))
        for sent, total in (("EUR", 10), ("eur", 10), (None, 1), ("USD", 5)):
            world.track("a:1", "Order Completed", total=total, currency=sent)
        assert world.visitors["a:1"].state.revenue == 26.0
        mixed = rule_errors(world.catalog)["events.currency"]
        assert (mixed.n_errors, "currency: EUR, rates: {USD: …}" in mixed.last_error) == (1, True)
