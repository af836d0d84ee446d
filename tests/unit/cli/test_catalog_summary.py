"""What `nextbest check` shows of a catalog."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.catalog_summary import print_summary
from personalization.catalog.catalog import AffinityRule, AffinitySpec, Catalog, EventMapping, Events


def shown(catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    """Rows by their first word, split into columns."""
    print_summary(Path("."), catalog, "")
    rows = [re.split(r" {2,}", row.strip()) for row in capsys.readouterr().out.splitlines()]
    return {row[0]: row for row in rows}


def test_it_says_which_events_mean_what_and_what_for(capsys: pytest.CaptureFixture[str]) -> None:
    likes = AffinitySpec(rules=(AffinityRule(event="viewed", key="fields.category"),))
    catalog = Catalog(
        placements={},
        content={},
        affinities={"category": likes},
        segments={"keen": "counts.viewed > 1.5"},
        events=Events(presets=("ga4",), ordered=(EventMapping(event="page", when="properties.sold"),)),
    )
    rows = shown(catalog, capsys)
    assert rows["viewed"] == ["viewed", "view_item", "affinities.category, segments.keen"]
    assert rows["ordered"] == ["ordered", "page (properties.sold), purchase", "cart, revenue, orders"]
    assert "shared" not in rows, "nothing looks at it, and it changes nothing"


def test_a_catalog_that_says_nothing_of_events_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "meaning" not in shown(Catalog(placements={}, content={}), capsys)
