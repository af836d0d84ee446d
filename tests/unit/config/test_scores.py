"""Scores in the catalog: read as they are written, and every mistake said with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import check_catalog, load_catalog
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.sections.scores import Repeat, Trend

GOOD = """
placements:
  hero: {{content: [a], default: a, features: [{features}]}}
content:
  a: {{type: html, body: '{body}', when: '{when}'}}
scores:
  fit:
    traits:
      - {{when: traits.plan == "pro", points: 30}}
    tiers: {{C: 0, B: 20, A: 50}}
  interest:
    events:
      - {{event: Pricing Viewed, points: 10, repeat: 5 per day, group: pages}}
      - {{event: Unsubscribed, points: -20, expires: 90d}}
    groups: {{pages: 40}}
    half_life: 14d
    range: [0, 100]
    tiers: {{3: 0, 2: 20, 1: 60}}
    hysteresis: 5
    rearm: 30d
    trend: 7d
  lead:
    axes: [fit, interest]
{more}
"""


def load(folder: Path, more: str = "", **terms: str) -> Catalog:
    told = {"features": "hour", "body": "hello", "when": "known", **terms}
    (folder / "shop.yaml").write_text(GOOD.format(more=more, **told))
    return load_catalog(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    scores = load(tmp_path).scores
    interest = scores["interest"]
    assert (interest.events[0].repeat, interest.events[0].group) == (Repeat(limit=5, per="day"), "pages")
    assert (interest.half_life_ms, interest.events[1].expires_ms) == (14 * DAY_MS, 90 * DAY_MS)
    assert (interest.tiers, interest.hysteresis, interest.rearm_ms) == ({"3": 0, "2": 20, "1": 60}, 5, 30 * DAY_MS)
    assert interest.trend == Trend(over_ms=7 * DAY_MS)
    assert scores["lead"].axes == ("fit", "interest")


BAD = {
    "no points": ("  x: {}", "scores.x: has no points; write events or traits, or axes or blend of other scores"),
    "two sorts": (
        "  x: {blend: {fit: 1}, traits: [{when: known, points: 1}]}",
        "scores.x.blend: stands beside events; make that a score of its own",
    ),
    "no event": ("  x: {events: [{points: 1}]}", "scores.x.events[0].event: is missing: The event's name"),
    "nothing": (
        "  x: {events: [{event: A, points: 0}]}",
        "points: must lie between -1,000,000 and 1,000,000",
    ),
    "two fades": (
        "  x: {half_life: 1d, events: [{event: A, points: 1, expires: 2d, half_life: 1d}]}",
        "scores.x.events[0].expires: stands beside half_life; points either fade or expire: keep one",
    ),
    "too much to keep": (
        "  x: {events: [{event: A, points: 1, expires: 90d, repeat: 5 per day}]}",
        "scores.x.events[0].repeat: may ask for 455 times of it, and 64 are kept of what expires; lower it, let "
        "the points expire sooner, or write half_life, which has no such bound",
    ),
    "how often": (
        "  x: {events: [{event: A, points: 1, repeat: 5 per week}]}",
        "repeat: must be such as '5 per day' or '1 per visitor', not '5 per week'",
    ),
    "no group": (
        "  x: {groups: {pages: 3}, events: [{event: A, points: 1, group: pags}]}",
        "scores.x.events[0].group: the score has no group 'pags'; did you mean 'pages'?",
    ),
    "of a request": (
        "  x: {traits: [{when: hour > 3, points: 1}]}",
        "scores.x.traits[0].when: unknown name 'hour'; known here: cart, cart_value, known, n_orders, revenue",
    ),
    "of the visitor": (
        "  x: {events: [{event: A, points: 1, when: n_orders > 3}]}",
        "scores.x.events[0].when: unknown name 'n_orders'; known here: content, context, event, "
        "fields, properties, traits, type",
    ),
    "one tier": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: 3}}",
        "scores.x.tiers: is one alone, which everybody has; write two or more",
    ),
    "equal tiers": (
        "  x: {events: [{event: A, points: 1}], tiers: {warm: 3, hot: 3}}",
        "scores.x.tiers.hot: starts where 'warm' does; give it more points",
    ),
    "a share without its sign": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: top 10, cold: rest}}",
        "scores.x.tiers.hot: must be a number such as 20, or such as 'top 10%' or 'rest', not 'top 10'",
    ),
    "a list for a tier": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: [3], cold: 1}}",
        "scores.x.tiers.hot: must be a number such as 20, or such as 'top 10%' or 'rest', not a list",
    ),
    "a tier of no bound": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: .inf, cold: 1}}",
        "scores.x.tiers.hot: must be a finite number, not .inf",
    ),
    "points and shares": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: top 10%, cold: 0}}",
        "scores.x.tiers: mixes points and shares of visitors; write all of one kind, such as {hot: top 10%, "
        "cold: rest}",
    ),
    "nobody's share": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: top 0%}}",
        "scores.x.tiers.hot: is a share of all visitors: it must lie above 0% and below 100%, e.g. top 10%",
    ),
    "more than all": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: top 110%}}",
        "scores.x.tiers.hot: is a share of all visitors: it must lie above 0% and below 100%, e.g. top 10%",
    ),
    "the same share": (
        "  x: {events: [{event: A, points: 1}], tiers: {hot: top 10%, warm: top 10%}}",
        "scores.x.tiers.warm: is for top 10%, as 'hot' is; give it another share, or leave it out",
    ),
    "the rest alone": (
        "  x: {events: [{event: A, points: 1}], tiers: {cold: rest}}",
        "scores.x.tiers: is for everybody, and is alone; write another, such as {hot: top 10%, cold: rest}",
    ),
    "a name that is taken": (
        "  x: {events: [{event: A, points: 1}], tiers: {rest: top 10%}}",
        "scores.x.tiers.rest: is the tier of everybody else; give it another name, or write rest: rest",
    ),
    "shares of what a model says": (
        "  x: {blend: {fit: 1, buys: 3}, tiers: {hot: top 10%}}\nconversions: {buys: {event: Ordered}}",
        "scores.x.tiers: are shares of visitors, and what a model says of all of them is worked out nowhere; write "
        "points, such as {warm: 0, hot: 50}",
    ),
    "hysteresis": (
        "  x: {events: [{event: A, points: 1}], tiers: {warm: 3, hot: 5}, hysteresis: 2}",
        "scores.x.hysteresis: is 2, and 'hot' starts 2 points above the tier below; write less than that",
    ),
    "a cycle": (
        "  x: {blend: {x: 1}}",
        "scores.x.blend.x: 'x' is itself made of scores; name what it is made of",
    ),
    "a chain": (
        "  x: {blend: {lead: 1}}",
        "scores.x.blend.lead: 'lead' is itself made of scores; name what it is made of",
    ),
    "unknown axis": (
        "  x: {axes: [fit, intrest]}",
        "scores.x.axes[1]: no score 'intrest'; did you mean 'interest'?",
    ),
    "axis without tiers": (
        "  y: {events: [{event: A, points: 1}]}\n  x: {axes: [fit, y]}",
        "scores.x.axes[1]: 'y' has no tiers; write some, such as tiers: {B: 0, A: 50}",
    ),
    "a name": (
        "  my-score: {events: [{event: A, points: 1}]}",
        "scores.my-score: rules name it as scores.name:",
    ),
    "two of a name": (
        "  buys: {events: [{event: A, points: 1}]}\nconversions: {buys: {event: Ordered}}",
        "scores.buys: is the name of a conversion too; rename one: rules name both scores.name",
    ),
    "a model of itself": (
        "  x: {blend: {fit: 1, buys: 3}}\nconversions: {buys: {event: Ordered, features: [scores.x]}}",
        "conversions.buys.features[0]: looks at what a model says",
    ),
}

for factor in ("1e305", "-1e305", "1001", "0"):
    BAD[f"a factor of {factor}"] = (
        f"  x: {{blend: {{fit: {factor}, interest: 1}}}}",
        "scores.x.blend.fit: is a factor: it must lie between -1,000 and 1,000, and not be 0; leave out what is to "
        "have no weight",
    )

_HALF_LIFE = "is a half-life: it must be 1m or longer, e.g. 7d"
_NOTHING = "must be longer than nothing"
for own, of_event, where in (
    ("half_life: 0s", "", f"half_life: {_HALF_LIFE}"),
    ("half_life: 59s", "", f"half_life: {_HALF_LIFE}"),
    ("trend: 1s", "", f"trend.over: {_HALF_LIFE}"),
    ("trend: {over: 0s}", "", f"trend.over: {_HALF_LIFE}"),
    ("expires: 0s", "", f"expires: {_NOTHING}"),
    ("range: [0, 9]", ", half_life: 1ms", f"events[0].half_life: {_HALF_LIFE}"),
    ("half_life: 1d", ", half_life: 0s", f"events[0].half_life: {_NOTHING}"),
    ("expires: 1d", ", expires: 0s", f"events[0].expires: {_NOTHING}"),
):
    BAD[f"too short: {own}{of_event}"] = (
        f"  x: {{{own}, events: [{{event: A, points: 1{of_event}}}]}}",
        f"scores.x.{where}",
    )

for own, idle in (
    ("axes: [fit, interest]", "half_life: 1d"),
    ("axes: [fit, interest]", "groups: {pages: 3}"),
    ("blend: {fit: 1}", "expires: 1d"),
    ("blend: {fit: 1}", "groups: {pages: 3}"),
    ("traits: [{when: known, points: 1}]", "half_life: 1d"),
):
    BAD[f"{idle} beside {own}"] = (f"  x: {{{own}, {idle}}}", f"scores.x.{idle.split(':')[0]}: needs events")
BAD["an axis twice"] = ("  x: {axes: [fit, fit]}", "scores.x.axes[1]: names 'fit' twice; leave it out")
for word in ("null", "~", "true", "False"):
    BAD[f"a score named {word}"] = (
        f"  {word}: {{axes: [fit, interest]}}",
        f"scores.{word}: a name must be text; choose another than {word}, or quote it",
    )
    BAD[f"a tier named {word}"] = (
        f"  x: {{events: [{{event: A, points: 1}}], tiers: {{no: 0, {word}: 3}}}}",
        f"scores.x.tiers.{word}: a name must be text; choose another than {word}, or quote it",
    )

for more, unread in (
    ("half_life: 1d, trend: 7d, events: [[]]", "events[0]: must be a group"),
    ("half_life: 1d, groups: {pages: 1}, events: often", "events: must be a group"),
    ("events: {event: A}", "events.points: is missing"),
    ("traits: {when: known}", "traits.points: is missing"),
    ("events: [{event: A, points: 1}], tiers: [], rearm: 1d, hysteresis: 2", "tiers: must be a group of names"),
    ("axes: {}", "axes: must be a list"),
    ("axes: [[]]", "axes[0]: must be text"),
    ("blend: [fit]", "blend: must be a group of names"),
):
    BAD[f"unread: {more}"] = (f"  x: {{{more}}}", f"scores.x.{unread}")


@pytest.mark.parametrize("case", BAD)
def test_every_mistake_has_its_place_and_its_remedy(case: str, tmp_path: Path) -> None:
    more, expected = BAD[case]
    with pytest.raises(InvalidCatalog) as caught:
        load(tmp_path, more)
    assert len(caught.value.errors) == 1
    assert expected in str(caught.value)
    assert str(caught.value).startswith("shop.yaml:")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"when": "scores.leed > 3"}, "content.a.when: no conversion or score 'leed'; did you mean 'lead'?"),
        ({"when": 'tiers.leed == "A1"'}, "content.a.when: no score 'leed'; did you mean 'lead'?"),
        ({"when": "tiers.lead > 3"}, "content.a.when: tiers.lead > 3 compares text with a number"),
        ({"features": "trends.x"}, "placements.hero.features[0]: no score 'x'"),
        ({"body": "{{tiers.leed}}"}, "content.a.body: {{tiers.leed}} names no score; did you mean 'lead'?"),
    ],
)
def test_who_names_a_score_that_is_none_is_told(terms: dict[str, str], expected: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalog) as caught:
        load(tmp_path, **terms)
    assert expected in str(caught.value)


def test_a_rule_beyond_what_a_score_can_be_is_warned_of(tmp_path: Path) -> None:
    load(tmp_path, when="scores.interest > 200")
    (warning,) = [each for each in check_catalog(tmp_path).warnings if each.path == "content.a.when"]
    assert "scores.interest > 200 never holds: scores.interest is a number from 0 to 100" in warning.message
    load(tmp_path, when='trends.interest == "up"')
    warnings = [each.message for each in check_catalog(tmp_path).warnings if each.path == "content.a.when"]
    assert warnings == ['trends.interest is never "up"; known here: falling, rising, steady']


@pytest.mark.parametrize(
    ("terms", "scored"),
    [
        ({}, ()),
        ({"when": "scores.fit > 3"}, ("fit",)),
        ({"when": 'tiers["lead"] == "A1"'}, ("lead",)),
        ({"features": "trends.interest"}, ("interest",)),
        ({"features": "scores"}, ("fit", "interest", "lead")),
        ({"body": "you are {{tiers.fit}}"}, ("fit",)),
    ],
)
def test_only_scores_that_somebody_names_are_worked_out(
    terms: dict[str, str], scored: tuple[str, ...], tmp_path: Path
) -> None:
    assert compile_catalog(load(tmp_path, **terms), 1).scores.asked == scored


@pytest.mark.parametrize("rule", ['"b" in segments', "size(segments) > 1", '!("a" in segments)'])
def test_segments_cannot_go_in_circles(rule: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalog) as caught:
        load(tmp_path, f"segments:\n  a: '{rule}'\n  b: known")
    assert str(caught.value) == (
        "shop.yaml:25: segments.a: looks at segments, which could go in circles; write the other segment's rule out"
    )
