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
