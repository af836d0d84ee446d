"""Receipts promise for how long a profile is kept: nothing of the catalog may keep it open for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import CheckedCatalog, check_catalog

SHOP = """\
placements:
  hero: {content: [a], default: a%s}
content:
  a: {body: hello}
sources:
  shop: {write_keys: [pk], consent_default: denied}
retention: {anonymous: 20d, known: 30d}
"""
PRIVACY = """\
privacy:
  controller: {name: Shop, contact: privacy@shop.example}
  notice: https://shop.example/privacy
  jurisdiction: EU
  storage_locations: [EU]
  purposes:
    personalization: {description: Shows you what fits., retention: 30d, pii: [pages viewed]}
"""

KEEPS = {
    "a placement's window": (", window: %s", "", "placements.hero.window"),
    "a conversion's horizon": (
        "",
        "conversions: {buys: {event: Bought, horizon: %s}}\n",
        "conversions.buys.horizon",
    ),
    "a segment's count": (
        "",
        'segments: {keen: \'count("Viewed", within="%s") >= 3\'}\n',
        "segments.keen",
    ),
    "a segment's since": (
        "",
        'segments: {gone: \'n_orders > 0 && since("Login") > duration("%s")\'}\n',
        "segments.gone",
    ),
    "points that expire": (
        "",
        "scores: {lead: {events: [{event: Viewed, points: 1}], expires: %s, tiers: {cold: 0, hot: 9}}}\n",
        "scores.lead.expires",
    ),
    "points of one event that expire": (
        "",
        "scores: {lead: {events: [{event: Viewed, points: 1, expires: %s}], tiers: {cold: 0, hot: 9}}}\n",
        "scores.lead.events[0].expires",
    ),
    "a score's condition": (
        "",
        "scores:\n"
        '  lead: {traits: [{when: \'never("Bought", within="%s")\', points: 1}], tiers: {cold: 0, hot: 1}}\n',
        "scores.lead.traits[0].when",
    ),
    "a score that an axis is": (
        "",
        "scores:\n"
        "  fit: {events: [{event: Viewed, points: 1}], expires: %s, tiers: {a: 0, b: 9}}\n"
        "  use: {events: [{event: Viewed, points: 1}], tiers: {a: 0, b: 9}}\n"
        "  both: {axes: [fit, use]}\n",
        "scores.fit.expires",
    ),
}
KEEPS_NOBODY = {
    "a content's own rule": '  b: {body: there, when: \'count("Viewed", within="365d") >= 3\'}\n',
    "a cap": "  b: {body: there, cap: 3 per 365d}\n",
}


def checked(folder: Path, placement: str, more: str) -> CheckedCatalog:
    (folder / "shop.yaml").write_text(SHOP % placement + more)
    return check_catalog(folder)


def about_retention(found: CheckedCatalog) -> list[tuple[str, str, str]]:
    said = [(each.path, each.message, each.code) for each in found.mistakes]
    said += [(each.path, each.message, each.code) for each in found.warnings]
    return [each for each in said if each[2].startswith("kept_")]


def written(template: str, length: str) -> str:
    return template % length if template else ""


@pytest.mark.parametrize("what", KEEPS)
def test_what_is_open_closes_within_what_receipts_promise(tmp_path: Path, what: str) -> None:
    placement, more, path = KEEPS[what]
    [(told, message, code)] = about_retention(
        checked(tmp_path, written(placement, "31d"), PRIVACY + written(more, "31d"))
    )
    assert (told, code) == (path, "kept_too_long")
    assert message.startswith(
        "keeps a profile for 31d, longer than privacy.purposes.personalization.retention (30d)"
    )
    found = checked(tmp_path, written(placement, "30d"), PRIVACY + written(more, "30d"))
    assert found.mistakes == ()


@pytest.mark.parametrize("what", KEEPS)
def test_what_keeps_anonymous_visitors_longer_is_warned_of(tmp_path: Path, what: str) -> None:
    placement, more, path = KEEPS[what]
    [(told, message, code)] = about_retention(checked(tmp_path, written(placement, "31d"), written(more, "31d")))
    assert (told, code) == (path, "kept_longer")
    assert message.startswith("keeps anonymous visitors for 31d, though retention.anonymous is 20d")
    assert about_retention(checked(tmp_path, written(placement, "20d"), written(more, "20d"))) == []


@pytest.mark.parametrize("what", KEEPS_NOBODY)
def test_what_only_looks_back_keeps_nobody(tmp_path: Path, what: str) -> None:
    text = (SHOP % "").replace("  a: {body: hello}\n", "  a: {body: hello}\n" + KEEPS_NOBODY[what]) + PRIVACY
    (tmp_path / "shop.yaml").write_text(text)
    found = check_catalog(tmp_path)
    assert found.mistakes == ()
    assert about_retention(found) == []
