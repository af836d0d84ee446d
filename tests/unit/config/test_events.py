"""What events mean, as it is written in a catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import check_catalog, load_catalog
from personalization.catalog.catalog import EventMapping, Events

SHOP = """
placements:
  hero:
    content: [a]
    default: a
    rewards:
      - {{event: ordered, value: fields.revenue / 100.0}}
content:
  a: {{type: html, body: hello}}
events:
{events}
"""


def write(folder: Path, events: str) -> Path:
    (folder / "shop.yaml").write_text(SHOP.format(events=events))
    return folder


def test_a_mapping_is_written_without_a_manual(tmp_path: Path) -> None:
    written = """
  presets: [segment, email]
  currency: EUR
  rates: {USD: 0.92}
  viewed: [Room Viewed, Suite Viewed]
  ordered: {event: Booking Confirmed, id: properties.room_id, revenue: properties.nights * properties.rate}
"""
    assert load_catalog(write(tmp_path, written)).events == Events(
        presets=("segment", "email"),
        currency="EUR",
        rates={"USD": 0.92},
        viewed=(EventMapping(event="Room Viewed"), EventMapping(event="Suite Viewed")),
        ordered=(
            EventMapping(
                event="Booking Confirmed",
                id="properties.room_id",
                revenue="properties.nights * properties.rate",
            ),
        ),
    )


def test_a_single_preset_and_a_single_event_stand_alone(tmp_path: Path) -> None:
    events = load_catalog(write(tmp_path, "  presets: ga4\n  ordered: Sold\n")).events
    assert events == Events(presets=("ga4",), ordered=(EventMapping(event="Sold"),))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("  presets: [segmnt]", "events.presets[0]: must be one of email, ga4, hotel"),
        ("  presets: [segmnt]", "did you mean 'segment'?"),
        ("  order: Sold", "events.order: unknown field; did you mean 'ordered'?"),
        (
            "  ordered: {event: Sold, revenue: total}",
            "events.ordered.revenue: 'total' is no path into an event; write it whole, as in properties.total",
        ),
        ("  ordered: Sold\n  viewed: Sold", "'Sold' means 'viewed' already, at events.viewed; keep one of them"),
        ("  ordered: {event: Sold, revenue: '\"x\" - 1'}", "events.ordered.revenue: "),
        (
            "  ordered: {event: Sold, revenue: properties}",
            "'properties' is no path into an event; write it whole, as in properties.total",
        ),
        ("  ordered: {event: Sold, revenue: properties.a == 1}", "events.ordered.revenue: is true or false"),
        ("  ordered: {event: Sold, id: '!properties.a'}", "events.ordered.id: "),
        ("  viewed: {revenue: properties.x}", "events.viewed.event: is missing"),
    ],
)
def test_every_mistake_has_its_place_and_its_remedy(tmp_path: Path, written: str, said: str) -> None:
    mistakes = [str(each) for each in check_catalog(write(tmp_path, written)).mistakes]
    assert any(said in each and each.startswith("shop.yaml:1") for each in mistakes), mistakes


def warnings(folder: Path) -> list[str]:
    return [str(each) for each in check_catalog(folder).warnings if each.path.startswith("placements.hero.rewards")]


def test_of_a_meaning_that_no_event_has_it_is_warned(tmp_path: Path) -> None:
    assert warnings(write(tmp_path, "  presets: [segment]")) == []
    (said,) = warnings(write(tmp_path, "  presets: [email]"))
    assert "no event has the meaning 'ordered'; add a preset that does (segment, ga4, shopify, hotel)" in said


def test_a_meaning_is_no_other_spelling_of_an_event(tmp_path: Path) -> None:
    assert warnings(write(tmp_path, "  ordered: Ordered")) == []


def about_events(folder: Path) -> list[str]:
    return [each.message for each in check_catalog(folder).warnings if each.path == "events"]


def test_of_amounts_of_all_currencies_it_is_warned_where_amounts_are_looked_at(tmp_path: Path) -> None:
    (said,) = about_events(write(tmp_path, "  presets: [segment]"))
    assert said.startswith("placements.hero.rewards[0].value looks at amounts, and those of all currencies")
    assert "currency: EUR, or currency: any" in said
    for written in ("  currency: EUR", "  currency: any"):
        assert about_events(write(tmp_path, written)) == []
    catalog = write(tmp_path, "  presets: [segment]") / "shop.yaml"
    catalog.write_text(catalog.read_text().replace("fields.revenue / 100.0", "fields.rating"))
    assert about_events(tmp_path) == [], "nothing looks at amounts"
    for looking in (
        "features: [cart_value]",
        "segments: {rich: revenue > 100}",
        'segments: {rich: \'sum("ordered", of="fields.revenue", within="7d") > 100\'}',
    ):
        catalog.write_text(catalog.read_text() + looking + "\n")
        assert len(about_events(tmp_path)) == 1, looking
        catalog.write_text(catalog.read_text().replace(looking + "\n", ""))


def test_an_event_that_means_something_sometimes_is_written_with_a_condition(tmp_path: Path) -> None:
    written = "  currency: any\n  ordered: {event: page, when: properties.path == '/thanks'}"
    (mapping,) = load_catalog(write(tmp_path, written)).events.ordered  # type: ignore[union-attr]  # it has some
    assert (mapping.event, mapping.when) == ("page", "properties.path == '/thanks'")
    assert warnings(tmp_path) == [], "a page has the meaning"
    mistakes = [str(each) for each in check_catalog(write(tmp_path, written.replace("==", "+"))).mistakes]
    assert any("events.ordered.when: gives text, not true or false" in each for each in mistakes), mistakes
