"""What works and is probably not meant: each warning with its line and remedy, and no false alarm."""

# ruff: noqa: E501  (a message stands in one line, as it is read)
from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.catalog_warnings import visitor_variables
from config.loader import check_catalog, demo_catalog, load_catalog, shipped_catalog
from config.rule_warnings import rule_warnings
from personalization.catalog.catalog import Catalog, Conversion
from personalization.catalog.cel_parser import parse
from personalization.catalog.rules import Rule
from personalization.catalog.vocabulary import VISITOR

SHOP = """\
placements:
  hero:
    content: [a, b]
    default: a
content:
  a: {body: hello}
  b: {body: world}
sources:
  shop:
    write_keys: [pk]
    server_keys: ['sha256:%s']
    consent_default: denied
""" % ("0" * 64)


def warnings(folder: Path, text: str) -> list[str]:
    (folder / "shop.yaml").write_text(text)
    checked = check_catalog(folder)
    assert checked.catalog is not None, [str(mistake) for mistake in checked.mistakes]
    return [str(warning) for warning in checked.warnings]


def test_a_sound_catalog_has_none(tmp_path: Path) -> None:
    assert warnings(tmp_path, SHOP) == []


@pytest.mark.parametrize("folder", [shipped_catalog(), demo_catalog()], ids=lambda path: path.name)
def test_the_catalogs_that_come_with_it_have_none(folder: Path) -> None:
    checked = check_catalog(folder)
    assert (checked.mistakes, checked.warnings) == ((), ())
    assert checked.catalog == load_catalog(folder)


CHANGES = {
    "slots": (
        ("    default: a\n", "    default: a\n    slots: 3\n"),
        "5: warning: placements.hero.slots: 3 slots cannot be filled by 2 contents; list more of them, or write slots: 2",
    ),
    "slots of one content": (
        ("    content: [a, b]\n", "    content: [a, b]\n    slots: 2\n"),
        None,
    ),
    "unused content": (
        ("  b: {body: world}\n", "  b: {body: world}\n  c: {body: '!'}\n"),
        "8: warning: content.c: no placement shows it; list it under a placement's content, or delete it",
    ),
    "a group of one": (
        ("  a: {body: hello}\n", "  a: {body: hello, group: promos, cap: 1 per day per group}\n"),
        "6: warning: content.a.group: 'promos' is this content's alone, so its cap counts nothing else; write group: "
        "promos beside others too",
    ),
    "a group that no cap counts": (
        ("  a: {body: hello}\n", "  a: {body: hello, group: promos, cap: 1 per day}\n"),
        "6: warning: content.a.group: no cap counts 'promos'; write one on its contents, such as cap: 10 per 30d per "
        "group",
    ),
    "a group": (
        (
            "  a: {body: hello}\n  b: {body: world}\n",
            "  a: {body: hello, group: promos, cap: 1 per day per group}\n  b: {body: world, group: promos}\n",
        ),
        None,
    ),
    "min_probability": (
        ("    default: a\n", "    default: a\n    policy: {min_probability: 0.6}\n"),
        "5: warning: placements.hero.policy.min_probability: 0.6 cannot be had by each of 2 contents; all are drawn "
        "evenly instead: write 0.5 or less",
    ),
    "a reward beyond its range": (
        ("    default: a\n", "    default: a\n    rewards: [{event: Bought, value: 5}]\n"),
        "5: warning: placements.hero.rewards[0].value: is worth 5 and counts as 1, the end of reward_range; widen it, "
        "such as reward_range: [0, 5]",
    ),
    "a weighed reward beyond its range": (
        (
            "    default: a\n",
            "    default: a\n    rewards: [{event: B, name: x, value: 5}]\n    weights: {x: 0.2}\n",
        ),
        None,
    ),
    "a reward without a name": (
        ("    default: a\n", "    default: a\n    weights: {click: 0.1}\n    rewards:\n      - event: Clicked\n"),
        "7: warning: placements.hero.rewards[0]: has no name, so none of the placement's weights applies to it; write "
        "name: click",
    ),
    "two spellings of an event": (
        (
            "    default: a\n",
            "    default: a\n    rewards:\n      - event: Order Completed\n      - event: order completed\n",
        ),
        "7: warning: placements.hero.rewards[1].event: 'order completed' is spelt 'Order Completed' at "
        "placements.hero.rewards[0].event, and events match to the letter; use one",
    ),
    "two spellings, one within a rule": (
        (
            "    default: a\n",
            '    default: a\n    rewards: [{event: Product Viewed}]\n    when: counts["product viewed"] > 0.5\n',
        ),
        "6: warning: placements.hero.when: 'product viewed' is spelt 'Product Viewed' at "
        "placements.hero.rewards[0].event, and events match to the letter; use one",
    ),
    "a word for a language": (
        ("  b: {body: world}\n", "  b:\n    body: world\n    locales:\n      german: Welt\n"),
        "10: warning: content.b.locales.german: 'german' is no language tag and matches no visitor's; write one such "
        "as de or de-AT",
    ),
    "language tags": (
        (
            "  b: {body: world}\n",
            "  b: {body: world, locales: {de: x, de-AT: x, pt_BR: x, zh-Hans-CN: x, es-419: x, no: x, gsw: x, "
            "sl-rozaj: x, de-CH-1996: x}}\n",
        ),
        None,
    ),
    "an unclosed variable": (
        ("  a: {body: hello}\n", "  a: {body: 'hello {{traits.name, you'}\n"),
        "6: warning: content.a.body: '{{traits.name, you' is never closed by }} and is shown as it stands; write a "
        "variable as {{traits.first_name}} or {{traits.first_name|there}}",
    ),
    "another language of templates": (
        ("  a: {body: hello}\n", "  a:\n    body:\n      title: '{{#if x}}hello'\n"),
        "8: warning: content.a.body.title: '{{#if x}}hello' is no template variable and is shown as it stands; write "
        "a variable as {{traits.first_name}} or {{traits.first_name|there}}",
    ),
    "variables": (
        (
            "  a: {body: hello}\n",
            "  a: {body: '{{traits.x}} {{ traits.a_b | you }} {{n_orders}} {{session.n_views}} {{counts.Product "
            "Viewed|0}} {{context.page.title}} {{device}} {{known}} {{traits.address.city|}}'}\n",
        ),
        None,
    ),
    "no sources": (
        (SHOP[SHOP.index("sources:") :], ""),
        ": warning: sources: there are none, so every request is refused; write sources: {shop: {write_keys: "
        "[YOUR-KEY], consent_default: denied}}",
    ),
    "a source without keys": (
        (SHOP[SHOP.index("    write_keys") : SHOP.index("    consent")], ""),
        "9: warning: sources.shop: has no keys, so nobody can use it; write write_keys: [YOUR-KEY]",
    ),
    "no consent_default": (
        ("    consent_default: denied\n", ""),
        "9: warning: sources.shop: says no consent_default, so visitors who were never asked count as refusing; write "
        "consent_default: denied if that is meant, else granted",
    ),
    "a plain key": (
        (f"'sha256:{'0' * 64}'", "secret"),
        "11: warning: sources.shop.server_keys[0]: stands in plain text; write it as its hash: sha256: and what "
        "'printf %s \"$KEY\" | sha256sum' prints",
    ),
    "the example's key": (
        (f"'sha256:{'0' * 64}'", "sk_dev"),
        "11: warning: sources.shop.server_keys[0]: comes with nextbest, so everyone knows it; write a key of your own "
        "as its hash: sha256: and what 'printf %s \"$KEY\" | sha256sum' prints",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_probably_not_meant(what: str, tmp_path: Path) -> None:
    (old, new), said = CHANGES[what]
    assert old in SHOP
    found = warnings(tmp_path, SHOP.replace(old, new))
    file = tmp_path.name if said is not None and said.startswith(": ") else "shop.yaml:"
    assert found == ([] if said is None else [f"{file}{said}"])


def left_out(rule: str, there: str, without: str, around: str = "") -> str:
    absent = f"!{there}" if there.startswith("has") and "&&" not in there else f"!({there})"
    return (
        f"{rule} does not hold for visitors {without}; write ({absent} || {rule}) to include them, or {there} && "
        f"{rule} to leave them out"
    )


def fades(rule: str, event: str, instead: str) -> str:
    return f"{rule} holds only at the very moment of the {event} event, because counts fade; write {instead}"


NOBODY = "never holds: no number is all of that; write || where one of them is enough"

RULES = {
    # Counts fade
    'counts["Coupon Applied"] >= 1': [
        fades('counts["Coupon Applied"] >= 1', "1st", 'counts["Coupon Applied"] > 0.5'),
    ],
    "counts.Viewed >= 3.0 && known": [fades("counts.Viewed >= 3.0", "3rd", "counts.Viewed > 2.5")],
    "2 <= counts.Viewed": [fades("2 <= counts.Viewed", "2nd", "counts.Viewed > 1.5")],
    "counts.Viewed == 11": [fades("counts.Viewed == 11", "11th", "counts.Viewed > 10.5")],
    # What never holds
    "hour >= 18 && hour < 9": [f"hour >= 18 && hour < 9 {NOBODY}"],
    "known || (hour >= 18 && device == 'mobile') && 9 > hour": [f"hour >= 18 && 9 > hour {NOBODY}"],
    "hour > 5 && hour < 6": [f"hour > 5 && hour < 6 {NOBODY}"],
    "traits.age > 30 && traits.age <= 30": [f"traits.age > 30 && traits.age <= 30 {NOBODY}"],
    "n_orders == 1 && n_orders == 2": [f"n_orders == 1 && n_orders == 2 {NOBODY}"],
    "hour == 24": ["hour == 24 never holds: hour is a whole number from 0 to 23; compare it with such a one"],
    "weekday > 6": ["weekday > 6 never holds: weekday is a whole number from 0 to 6; compare it with such a one"],
    "n_orders < 0": [
        "n_orders < 0 never holds: n_orders is a whole number of 0 or more; compare it with such a one"
    ],
    "session.n_views == 1.5": [
        "session.n_views == 1.5 never holds: session.n_views is a whole number of 0 or more; compare it with such a one"
    ],
    "scores.buys > 20": [
        "scores.buys > 20 never holds: scores.buys is a number from 0 to 1; compare it with such a one"
    ],
    'device == "mobile" && device == "tablet"': [
        'device == "mobile" && device == "tablet" never holds: device is one text at a time; write || between them'
    ],
    'device == "desktp"': ["device is never \"desktp\"; did you mean 'desktop'?"],
    'device in ["mobile", "Tablet"]': ["device is never \"Tablet\"; did you mean 'tablet'?"],
    # Whom it leaves out
    'traits.plan != "free"': [left_out('traits.plan != "free"', "has(traits.plan)", "who have no traits.plan")],
    'known && !(traits.plan in ["a", "b"])': [
        left_out('!(traits.plan in ["a", "b"])', "has(traits.plan)", "who have no traits.plan")
    ],
    "!traits.club": [left_out("!traits.club", "has(traits.club)", "who have no traits.club")],
    '!(context.page.path == "/a")': [
        left_out(
            '!(context.page.path == "/a")',
            "has(context.page) && has(context.page.path)",
            "who have no context.page.path",
        )
    ],
    'traits["a b"] != 3': [left_out('traits["a b"] != 3', '"a b" in traits', 'who have no traits["a b"]')],
    'counts["Product Viewed"] < 0.5': [
        left_out('counts["Product Viewed"] < 0.5', '"Product Viewed" in counts', "who never did it")
    ],
    "!(counts.Viewed > 1.5)": [left_out("!(counts.Viewed > 1.5)", "has(counts.Viewed)", "who never did it")],
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_does_not_mean_what_it_seems_to(rule: str) -> None:
    catalog = Catalog(placements={}, content={}, conversions={"buys": Conversion(event="Ordered")})
    assert rule_warnings(parse(rule), visitor_variables(catalog)) == RULES[rule]


GOOD = [
    "n_orders == 0 && session.number <= 1",
    'counts["Coupon Applied"] > 0.5 || affinities.category.sale > 2',
    'counts["Product Viewed"] > 2 && counts["Product Viewed"] <= 10',
    "counts.Viewed >= 1.5 || counts.Viewed > 0",
    "n_orders >= 3 || revenue > 500",
    "cart_value > 0 && (days_since_last >= 0.25 || session.number > 1 && session.n_events <= 5)",
    'device == "mobile" && hour >= 18',
    'device != "bot" && device in ["mobile", "tablet", "desktop"]',
    "hour >= 18 || hour < 9",
    "hour >= 9 && hour < 18 && weekday <= 4",
    "hour >= 0 && hour <= 23",
    "!(hour >= 9 && hour < 18)",
    "(hour >= 18 && known) || (hour < 9 && known)",
    "hour > 5 && hour <= 6",
    "traits.age >= 30 && traits.age < 40 && traits.age != 35",
    "traits.age == 30 || traits.age == 40",
    'traits.plan == "free" || traits.plan == "trial"',
    'traits.a == "x" && traits.b == "y"',
    "traits.age < 30",  # who never told is not young
    'traits.plan == "free" && !("loyal" in segments)',
    '!("loyal" in segments)',
    '!has(traits.plan) || traits.plan != "free"',
    'has(traits.plan) && traits.plan != "free"',
    '!("plan" in traits) || !(traits["plan"] in ["free"])',
    "!(has(traits.club) && traits.club == true)",
    '!(traits.plan != "free")',
    'has(traits.address) && has(traits.address.city) && traits.address.city != "Wien"',
    '!(has(context.locale) && context.locale == "en-GB")',
    '!("Product Viewed" in counts) || counts["Product Viewed"] < 0.5',
    'n_orders != 3 && !known && session.n_views != 1 && device != "tablet"',
    "!(has(scores.buys_soon) && scores.buys_soon > 0.6)",
    "scores.buys_soon > 0.2 && scores.buys_soon <= 0.9",
    "cart.exists(hour, hour > 30 && hour < 3)",  # a bound name is no variable
    "days_since_first > 30 && days_since_last < 7",
    "revenue > 100 && revenue / n_orders < 50",
    'traits.size >= 40 && traits.size == "L" || known',
    "true",
]


@pytest.mark.parametrize("rule", GOOD)
def test_nothing_is_said_of_a_good_rule(rule: str) -> None:
    assert rule_warnings(parse(rule), VISITOR) == []


def test_the_rules_that_warnings_propose_compile_and_are_good_ones() -> None:
    proposed = []
    for warning in (warning for found in RULES.values() for warning in found):
        if fading := re.search(r"counts fade; write (.*)$", warning):
            proposed.append(fading[1])
        elif absent := re.search(r"; write (.*) to include them, or (.*) to leave them out$", warning):
            proposed += absent.groups()
    assert len(proposed) == 18
    for rule in proposed:
        assert rule_warnings(Rule(rule, "when", VISITOR).tree, VISITOR) == [], rule


def test_warnings_and_mistakes_come_together_and_do_not_repeat_each_other(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        SHOP.replace("default: a\n", "default: a\n    slots: many\n    when: traits.x != 1 && hour.x\n").replace(
            "consent_default: denied", "consent_default: maybe"
        )
    )
    checked = check_catalog(tmp_path)
    assert checked.catalog is None
    assert [str(one).split(": ")[0] for one in checked.mistakes] == ["shop.yaml:5", "shop.yaml:6", "shop.yaml:14"]
    assert checked.warnings == ()  # of the rule nothing more is said while it is wrong
    (tmp_path / "more.yaml").write_text("content: {c: {}}\n")
    assert [one.path for one in check_catalog(tmp_path).warnings] == ["content.c"]
    (tmp_path / "broken.yaml").write_text("content: {d: [\n")
    assert check_catalog(tmp_path).warnings == ()  # what is missing may stand in the file that cannot be read


TEMPLATES = {
    "{{foo}}": "{{foo}} names nothing that is known of visitors; known here: affinities, cart, cart_value, consents, "
    "context, counts, days_since_first, days_since_last, device, event_count, hour, known, … (9 more)",
    "{{first_name|you}}": "{{first_name|you}} names nothing that is known of visitors; write traits.first_name",
    "{{trait.name}}": "{{trait.name}} names nothing that is known of visitors; did you mean 'traits'?",
    "{{session.views}}": "{{session.views}} is always empty: session has no 'views'; did you mean 'n_views'?",
    "{{device.type}}": "{{device.type}} is always empty: device has no 'type'; write {{device}}",
    "{{segments}}": "{{segments}} is always empty: segments is a list; say it in words, or show another content by a rule",
    "{{traits}}": "{{traits}} is always empty: traits holds several values; name one, such as {{traits.name}}",
    "{{scores.buys}}": "{{scores.buys}} names no conversion or score; none is defined",
    "{{affinities.brand.a}}": "{{affinities.brand.a}} names no affinity; none is defined",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_variable_that_nothing_ever_fills_in_is_refused(template: str, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.replace("{body: hello}", f"{{body: 'hello {template}'}}"))
    assert [str(mistake) for mistake in check_catalog(tmp_path).mistakes] == [
        f"shop.yaml:6: content.a.body: {TEMPLATES[template]}"
    ]


def test_two_tags_of_one_language_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SHOP.replace("{body: hello}", "{body: x, locales: {de-AT: y, de_at: z}}"))
    assert [str(mistake) for mistake in check_catalog(tmp_path).mistakes] == [
        "shop.yaml:6: content.a.locales.de_at: is the same language as 'de-AT', and only one is ever served; keep one"
    ]


NAMED = """\
    keys:
      ci: {sha256: "%s", role: viewer, expires: %s%s}
"""
NOW_MS = 1_767_225_600_000  # 2026-01-01


def told_of_keys(folder: Path, text: str) -> list[str]:
    (folder / "shop.yaml").write_text(text)
    checked = check_catalog(folder, now_ms=NOW_MS)
    assert checked.catalog is not None, [str(mistake) for mistake in checked.mistakes]
    return [str(warning) for warning in checked.warnings]


@pytest.mark.parametrize(
    ("expires", "told"),
    [
        ("2026-01-16", []),
        ("2026-01-15", ["expires on 2026-01-15, within 14 days; `nextbest keys rotate ci` makes its successor"]),
        (
            "2026-01-01",
            [
                "expired on 2026-01-01, and is refused; take it out, or `nextbest keys rotate ci` makes its successor"
            ],
        ),
    ],
)
def test_of_a_key_that_ends_within_two_weeks_or_has_ended_is_warned(
    expires: str, told: list[str], tmp_path: Path
) -> None:
    found = told_of_keys(tmp_path, SHOP + NAMED % ("1" * 64, expires, ""))
    assert found == [f"shop.yaml:14: warning: sources.shop.keys.ci.expires: {each}" for each in told]


def test_a_replaced_key_is_to_be_taken_out_once_it_has_ended(tmp_path: Path) -> None:
    before = ", before: {sha256: '%s', expires: %s}"
    for expires, told in (("2026-01-02", []), ("2025-12-31", ["ended on 2025-12-31; take `before` out"])):
        found = told_of_keys(tmp_path, SHOP + NAMED % ("1" * 64, "2027-01-01", before % ("2" * 64, expires)))
        assert found == [f"shop.yaml:14: warning: sources.shop.keys.ci.before.expires: {each}" for each in told]


def test_a_source_that_speaks_for_anybody_beside_one_that_verifies_is_told_of(tmp_path: Path) -> None:
    strict = "  strict: {write_keys: [pk2], consent_default: denied, verify_users: true}\n"
    server = "  erp: {server_keys: ['sha256:%s'], consent_default: denied}\n" % ("3" * 64)
    told = warnings(tmp_path, SHOP + strict + server)
    assert [line.split(", so its")[0] for line in told] == [
        "shop.yaml:9: warning: sources.shop: does not verify users as strict does, and sources share their visitors"
    ]
    assert warnings(tmp_path, SHOP + "    verify_users: true\n" + strict + server) == []
