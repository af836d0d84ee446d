"""What `nextbest check` shows of a catalog."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.catalog_summary import print_summary
from personalization.catalog.catalog import AffinityRule, AffinitySpec, Catalog, EventMapping, Events, Score
from personalization.catalog.sections.scores import EventPoints
from personalization.catalog.tier_thresholds import TopShare


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


def test_tiers_by_shares_are_shown_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    points = (EventPoints(event="V", points=1.0),)
    scores = {
        "lead": Score(events=points, tiers={"warm": TopShare(top=0.4), "hot": TopShare(top=0.1)}),
        "fit": Score(events=points, tiers={"C": 0.0, "A": 20.0}),
    }
    rows = shown(Catalog(placements={}, content={}, scores=scores), capsys)
    assert rows["lead"] == [
        "lead",
        "V +1",
        "hot top 10%, warm top 40%, rest for all others (once there are 100 visitors)",
    ]
    assert rows["fit"][2] == "A 20 C 0"
