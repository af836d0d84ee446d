"""What can never be evaluated is refused, with file, line, path and what to write instead."""

# ruff: noqa: E501  (a message stands in one line, as it is read)
from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import check_catalog
from config.rule_kinds import kind_mistakes
from personalization.catalog.cel_parser import parse
from personalization.catalog.vocabulary import EVENT, VISITOR

SHOP = """\
placements:
  hero:
    content: [a]
    default: a
    {field}
content:
  a: {{body: x, when: '{rule}'}}
sources: {{shop: {{write_keys: [k], consent_default: denied}}}}
"""

MISTAKES = {
    'weekday == "monday"': (
        'weekday == "monday" compares a number with text, which are never equal; weekday is a number from 0 (Monday) '
        "to 6 (Sunday): write 0"
    ),
    'weekday in ["sat", "sun"]': (
        'weekday is a number and never in a list at "sat", which is text; weekday is a number from 0 (Monday) to 6 '
        "(Sunday): write 5"
    ),
    'hour >= "18"': 'hour >= "18" compares a number with text, which fails; write 18 without quotes',
    'known == "true"': 'known == "true" compares true or false with text, which are never equal; write known',
    "known == 0": "known == 0 compares true or false with a number, which are never equal; write !known",
    "n_orders == true": "n_orders == true compares a number with true or false, which are never equal; write "
    "n_orders > 0",
    "device == 3": 'device == 3 compares text with a number, which are never equal; write "3" in quotes',
    "n_orders && known": "n_orders is a number, not true or false; write n_orders > 0",
    "!cart_value": "cart_value is a number, not true or false; write cart_value > 0",
    "n_orders": "gives a number, not true or false; write n_orders > 0",
    "device": "gives text, not true or false; compare it with a text",
    "segments": "gives a list, not true or false; write size(segments) > 0",
    "session.views > 3": "session has no 'views'; did you mean 'n_views'?",
    "hour.now > 3": "hour is a number and has no 'now'; write hour alone",
    'hour.startsWith("1")': "hour is a number: startsWith asks a text; write string(hour).startsWith(…)",
    '"mob" in device': "device is text: 'in' asks a list or a map; write device.contains(\"mob\")",
    "size(n_orders) > 0": "n_orders is a number: size asks a text, a list or a map; compare n_orders itself",
    "device * 2 > 3": "device is text: * takes numbers; write double(device)",
    'n_orders + " orders" == "3 orders"': 'n_orders + " orders" adds a number and text; write string(n_orders)',
    "counts.Viewed > known": "counts.Viewed > known compares a number with true or false, which fails; compare "
    "counts.Viewed with a number",
    "scores == 0.5": "scores == 0.5 compares a map with a number, which are never equal; name one entry of scores, "
    "such as scores.name",
    'traits.email.matches("a(")': '"a(" is no regular expression: unclosed group; put \\\\ before signs meant as such',
}


@pytest.mark.parametrize("rule", MISTAKES)
def test_a_rule_whose_kinds_never_meet_is_refused(rule: str, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.format(rule=rule.replace("'", "''"), field="slots: 1"))
    checked = check_catalog(tmp_path)
    assert checked.catalog is None
    assert [str(mistake) for mistake in checked.mistakes] == [f"shop.yaml:7: content.a.when: {MISTAKES[rule]}"]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            "rewards: [{event: Bought, value: 'event'}]",
            "shop.yaml:5: placements.hero.rewards[0].value: gives text, not a number; write double(…) around a text "
            "of digits",
        ),
        (
            "rewards: [{event: Bought, arm: 'properties.id == 3'}]",
            "shop.yaml:5: placements.hero.rewards[0].arm: gives true or false, not text; it has to be the id of a "
            "content",
        ),
        (
            "rewards: [{event: Bought, when: 'size(event)'}]",
            "shop.yaml:5: placements.hero.rewards[0].when: gives a number, not true or false; compare it with a number",
        ),
        (
            'when: has(traits["a b"])',
            "shop.yaml:5: placements.hero.when: not a CEL expression: has() takes a dotted name, such as "
            'has(traits.plan); or ask "plan" in traits',
        ),
        (
            "when: " + "(" * 50 + "known" + ")" * 50,
            "shop.yaml:5: placements.hero.when: not a rule: more than 40 parentheses within each other",
        ),
    ],
)
def test_what_a_rule_has_to_give(field: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.format(rule="true", field=field))
    assert [str(mistake) for mistake in check_catalog(tmp_path).mistakes] == [said]


@pytest.mark.parametrize(
    "rule",
    [
        "weekday == 0 || weekday in [5, 6]",
        "traits.age > 30 && traits.age != 40",  # traits may be anything
        'traits.age == "old" || traits.age == 3 || traits.age == true || traits.vip',
        'type(traits.age) == string && traits.age.startsWith("4")',
        "hour * 1.5 + size(segments) > 3 - n_orders % 2",
        "cart.exists(sku, sku.startsWith('a') && cart[sku] > 10.0)",
        "segments.exists(hour, hour == 'loyal')",  # a bound name hides the variable
        "size(segments.filter(s, s != 'new')) > 1",
        'context.page.path.matches("^/a\\\\.html$") && context.page.title.contains("x")',
        'timestamp(traits.since) > timestamp("2020-01-01T00:00:00Z")',
        "known ? n_orders > 3 : cart_value > 10",
        'device in ["mobile", "tablet"] && !("loyal" in segments)',
        "(known && consents.ads) == true",
        '"Product Viewed" in counts && counts["Product Viewed"] > 1.5',
        "double(traits.age) > 3 && int(traits.age) % 2 == 1 && string(n_orders) == '3'",
        "null == traits.x && traits.x != null",
        "scores.buys > 0.2 && affinities.category.shoes > 1 && affinities['brand']['a b'] > 0.5",
        "[1, 2, 3][weekday % 3] == 2 && {'a': 1}['a'] == 1",
        "days_since_last < 0.5 || revenue / n_orders > 50",
    ],
)
def test_nothing_is_said_of_rules_that_may_be_evaluated(rule: str) -> None:
    assert kind_mistakes(parse(rule), VISITOR, "yes_no") == []


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("double(properties.revenue) / 100", "number"),
        ("properties.revenue * 0.3 + properties.shipping", "number"),
        ("properties.first ? 1 : 0.5", "number"),
        ("properties.rating > 3", "number"),  # true counts as 1
        ("'product-' + properties.products[0].product_id", "text"),
        ("'product-' + string(properties.id)", "text"),
        ("properties.id", "text"),
        ("properties.list_id == 'home' && event.startsWith('Product') && type == 'track'", "yes_no"),
    ],
)
def test_nothing_is_said_of_rules_about_events_either(rule: str, wanted: str) -> None:
    assert kind_mistakes(parse(rule), EVENT, wanted) == []  # type: ignore[arg-type]
