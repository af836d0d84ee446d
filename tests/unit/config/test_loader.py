"""Bad catalogs and the exact words for them: every mistake at once, with file, line, path and the remedy."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from config.catalog_errors import CatalogMistake
from config.loader import demo_catalog, load_catalog, shipped_catalog
from personalization.catalog.catalog import Cap, Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.errors import InvalidInput
from tests.of_type import of_type

GOOD = """
placements:
  home.hero:
    content: [a, b]
    default: a
content:
  a: {}
  b: {}
"""


def load(folder: Path, **files: str | bytes) -> Catalog:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    return load_catalog(folder)


def mistakes(folder: Path, **files: str | bytes) -> list[str]:
    with pytest.raises(InvalidCatalog) as caught:
        load(folder, **files)
    assert all(isinstance(error, CatalogMistake) for error in caught.value.errors)
    assert str(caught.value) == "\n".join(str(error) for error in caught.value.errors)
    return str(caught.value).split("\n")


BAD_FIELDS = {
    "windw: 30m": "placements.home.hero.windw: unknown field; did you mean 'window'?",
    "window_ms: 1800000": (
        "placements.home.hero.window_ms: unknown field; write window with a unit, such as window: 30m"
    ),
    "window: 30": (
        "placements.home.hero.window: must be a length of time such as 30m, 12h or 14d, not '30'; "
        "write the unit: 30m, 30d"
    ),
    "window: soon": ("placements.home.hero.window: must be a length of time such as 30m, 12h or 14d, not 'soon'"),
    "window: 0s": "placements.home.hero.window: must be longer than nothing, e.g. 30m",
    "window: never": ("placements.home.hero.window: must be a length of time such as 30m, 12h or 14d, not 'never'"),
    "slots: two": "placements.home.hero.slots: must be a whole number such as 3, not 'two'",
    "slots: 2.5": "placements.home.hero.slots: must be a whole number such as 3, not '2.5'",
    "slots: 99": "placements.home.hero.slots: must lie between 1 and 50",
    "slots: [1]": "placements.home.hero.slots: must be a whole number such as 3, not a list",
    "holdout: .nan": "placements.home.hero.holdout: must be a finite number, not .nan",
    "holdout: 1e999": "placements.home.hero.holdout: must be a finite number, not 1e999",
    "holdout: 100%": "placements.home.hero.holdout: is a share: 0 or more, below 1",
    "holdout: lots": "placements.home.hero.holdout: must be a share such as 0.1 or 10%, not 'lots'",
    "sticky: perhaps": "placements.home.hero.sticky: must be true or false, not 'perhaps'",
    "control: unifrom": (
        "placements.home.hero.control: must be one of default, uniform, not 'unifrom'; did you mean 'uniform'?"
    ),
    "reward_range: [1]": (
        "placements.home.hero.reward_range: must be two numbers, lowest and highest, such as [0, 1]"
    ),
    "reward_range: [1, 0]": "placements.home.hero.reward_range: must be [low, high] with low < high",
    "policy: thomson": (
        "placements.home.hero.policy.name: unknown policy 'thomson'; use one of default, thompson, linucb, "
        "squarecb, epsilon_greedy, uniform, fixed"
    ),
    "policy: {nam: linucb}": "placements.home.hero.policy.nam: unknown field; did you mean 'name'?",
    "policy: [linucb]": (
        "placements.home.hero.policy: must be a short form such as 'thompson', or a group with the fields "
        "epsilon, min_probability, name, new_arm_exposures, parameters, not a list"
    ),
    "model: os.system": (
        "placements.home.hero.model: unknown model 'os.system'; use one of default, arm_linear, or a River class "
        "by its dotted path, e.g. river.linear_model.LogisticRegression"
    ),
    "model: river.linear_model.Nope": (
        "placements.home.hero.model: River has no 'river.linear_model.Nope': check the dotted path"
    ),
    "features: [traits.age, huor]": (
        "placements.home.hero.features[1]: nothing of a visitor or a request is called 'huor'; did you mean 'hour'?"
    ),
    "features: [hour, hour]": "placements.home.hero.features[1]: names 'hour' twice",
    "features: [affinities.brand]": ("placements.home.hero.features[0]: no affinity 'brand'; none is defined"),
    "when: n_ordrs > 2": "placements.home.hero.when: unknown name 'n_ordrs'; did you mean 'n_orders'?",
    "when: n_orders > 2 and known": (
        "placements.home.hero.when: not a CEL expression: unexpected 'and' at column 14; write && for 'and'"
    ),
    "when: n_orders = 2": (
        "placements.home.hero.when: not a CEL expression: unexpected '=' at column 10; write == to compare"
    ),
    "when: max(n_orders, 2) > 1": (
        "placements.home.hero.when: unknown function 'max'; known here: bytes, contains, double, duration, dyn, "
        "endsWith, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, "
        "getMinutes, getMonth, getSeconds, int, matches, size, startsWith, string, timestamp, type, uint"
    ),
    """when: '"vip" in segments'""": "placements.home.hero.when: no segment 'vip'; none is defined",
    "rewards: [{value: 2}]": "placements.home.hero.rewards[0].event: is missing: The event's name (a track's own, "
    "else `page`, `screen`, …)",
    "rewards: [{event: Bought, when: visitor.x}]": (
        "placements.home.hero.rewards[0].when: unknown name 'visitor'; known here: content, context, event, "
        "fields, properties, traits, type"
    ),
    "rewards: [{event: Bought, value: .inf}]": (
        "placements.home.hero.rewards[0].value: must be a finite number, not .inf"
    ),
    "combine: earliest": "placements.home.hero.combine: must be one of first, max, sum, not 'earliest'",
    "weights: {click: much}": "placements.home.hero.weights.click: must be a number such as 0.5, not 'much'",
    "weights: {click: .inf}": "placements.home.hero.weights.click: must be a finite number, not .inf",
    "rewards: [{event: Bought, name: click}]": (
        "placements.home.hero.rewards[0].name: the placement's weights have no 'click'; "
        "say what it counts: weights: {click: 1}"
    ),
    "default: a": "placements.home.hero.default: is written twice, first at shop.yaml:5; keep one",
}


@pytest.mark.parametrize("field", BAD_FIELDS)
def test_a_bad_field_of_a_placement(field: str, tmp_path: Path) -> None:
    text = GOOD.replace("    default: a\n", f"    default: a\n    {field}\n")
    assert mistakes(tmp_path, shop=text) == [f"shop.yaml:6: {BAD_FIELDS[field]}"]


SUCH_CAPS = "must be such as '3 per day', '2 per 7d', '1 per visitor' or '10 per 30d per group'"
BAD_CONTENT = {
    "a: {type: htm}": "content.a.type: must be one of html, json, redirect, not 'htm'; did you mean 'html'?",
    "a: {type: html}": "content.a.body: a html content needs text here",
    "a: {html: x}": "content.a.html: unknown field; did you mean 'body'?",
    "a: {starts: soon}": (
        "content.a.starts: must be a date or time such as 2026-01-31 or 2026-01-31T09:00+01:00, not 'soon'"
    ),
    "a: {starts: 2026-02-30}": (
        "content.a.starts: must be a date or time such as 2026-01-31 or 2026-01-31T09:00+01:00, not '2026-02-30'"
    ),
    "a: {starts: 2026-02-01, ends: 2026-01-01}": "content.a.ends: must lie after starts",
    "a: {cap: often}": f"content.a.cap: {SUCH_CAPS}, not 'often'",
    "a: {cap: 33 per 7d}": "content.a.cap.limit: is at most 32 in a length of time",
    "a: {cap: {limit: 2, within: 0s}}": "content.a.cap.within: must be longer than nothing, e.g. 7d",
    "a: {cap: 3 per week}": f"content.a.cap: {SUCH_CAPS}, not '3 per week'",
    "a: {cap: 3 per group}": f"content.a.cap: {SUCH_CAPS}, not '3 per group'",
    "a: {cap: {limit: 2, within: 7d, per: day}}": (
        "content.a.cap.per: stands beside within, and a cap counts over one of them: leave one out, or write two "
        "caps"
    ),
    "a: {cap: [2 per 7d, 9 per 30d per group]}": (
        "content.a.cap[1].of: counts the contents of a group, and this one is in none; write group: NAME beside cap"
    ),
    "a: {cap: {limit: 2, of: place}}": (
        "content.a.cap.of: must be one of content, group, placement, not 'place'; did you mean 'placement'?"
    ),
    "a: {cap: [2 per 7d, 1 per day, 2 per 7d]}": "content.a.cap[2]: is a cap written twice; leave it out",
    "a: {cap: [3, 3 per session]}": "content.a.cap[1]: is a cap written twice; leave it out",
    "a: {cap: [[]]}": (
        "content.a.cap[0]: must be a short form such as '3 per day', or a group with the fields limit, of, per, "
        "within, not a list"
    ),
    "a: {cap: [null]}": "content.a.cap[0].limit: is missing: How often, 1 or more",
    "a: {type: null}": "content.a.type: must be one of html, json, redirect, not empty",
    'a: {cap: 1 per day, group: ""}': "content.a.group: needs a name, or leave it out",
    "a: {trusted: true}": "content.a.trusted: is of html alone; leave it out",
    "a: {type: redirekt, body: /a, trusted: true}": (
        "content.a.type: must be one of html, json, redirect, not 'redirekt'; did you mean 'redirect'?"
    ),
    "a: {cap: 0}": "content.a.cap.limit: must be 1 or more",
    "a: {cap: {per: day}}": "content.a.cap.limit: is missing: How often, 1 or more",
    "a: {features: {price: .nan}}": "content.a.features.price: must be a finite number, not .nan",
    "a: {features: {themes: [sale, [new]]}}": "content.a.features.themes[1]: must be text, not a list",
    "a: {features: {themes: {sale: 1}}}": (
        "content.a.features.themes: must be a number or text, or a list of texts, not a group of fields"
    ),
    "a: {body: [1, .inf]}": "content.a.body[1]: must be a finite number or text in quotes, not .inf",
    "a: {body: {x: 1, x: 2}}": "content.a.body.x: is written twice, first at shop.yaml:3; keep one",
    "a: hello": (
        "content.a: must be a group with the fields body, cap, cost, ends, features, group, locales, priority, "
        "starts, trusted, type, when, not 'hello'"
    ),
}


@pytest.mark.parametrize("line", BAD_CONTENT)
def test_a_bad_content(line: str, tmp_path: Path) -> None:
    text = f"placements: {{p: {{content: [a], default: a}}}}\ncontent:\n  {line}\n"
    expected = BAD_CONTENT[line]
    assert mistakes(tmp_path, shop=text) == [f"shop.yaml:3: {expected}"]


BAD_YAML: dict[str, tuple[bytes, str]] = {
    "tab": (b"placements:\n\thero: {}", "shop.yaml:2: a tab; indent with spaces"),
    "colon": (b"a: b: c", "shop.yaml:1: a ':' too many, or a line indented too far; put text with ': ' in quotes"),
    "quote left open": (b"a: 'x\nb: 2\n", "shop.yaml:1: a quote is opened here and never closed"),
    "after the quote": (
        b'a: 1\nwhen: "vip" in segments\n',
        "shop.yaml:2: the value goes on after its closing quote; quote all of it: when: '\"vip\" in segments'",
    ),
    "bracket left open": (b"a:\n  b: [1, 2\nc: 3\n", "shop.yaml:2: a list opened here with [ is not closed with ]"),
    "indentation": (
        b"a:\n  - b\n c: 1",
        "shop.yaml:3: indented like no line above; names of one group start in the same column",
    ),
    "no colon": (
        b"a: 1\nb\nc: 2",
        "shop.yaml:2: neither 'name: value' nor '- item'; is a colon missing, or a blank after it?",
    ),
    "percent": (b"a: %x", "shop.yaml:1: a character that must be in quotes; put the whole text in quotes"),
    "template": (
        b"a: {{name}}",
        "shop.yaml:1: a list or group stands where a name is expected; put text with {{ }} or [ ] in quotes",
    ),
    "NUL": (b"a: 1\nb: \x00", "shop.yaml:2: a character that no text may hold (U+0000); delete it"),
    "latin-1": (b"a: 1\nb: caf\xe9\n", "shop.yaml:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    "utf-16": ("a: 1".encode("utf-16"), "shop.yaml:1: saved as UTF-16; save it as UTF-8"),
    "two documents": (
        b"a: 1\n---\nb: 2\n",
        "shop.yaml:2: a second document begins here (---); put it into a file of its own",
    ),
    "python tag": (
        b"a: !!python/object/apply:os.system [ls]",
        "shop.yaml:1: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not used here; "
        "put text that starts with ! in quotes",
    ),
    "alias of nothing": (
        b"a: *x",
        "shop.yaml:1: *x repeats nothing: no finished value above is marked &x; put text that starts with * in "
        "quotes",
    ),
    "alias of itself": (
        b"a: &x [*x]",
        "shop.yaml:1: *x repeats nothing: no finished value above is marked &x; put text that starts with * in "
        "quotes",
    ),
    "alias bomb": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 12)),
        "shop.yaml:6: more than 200,000 values once its aliases (*name) are written out",
    ),
    "deep": (b"a: " + b"[" * 100_000, "shop.yaml:1: nested more than 64 deep"),
    "a list": (
        b"- a\n- b\n",
        "shop.yaml:1: must be a catalog with the names placements, content, events, segments, affinities, "
        "conversions, scores, metrics, features, count_half_life, session_gap, sources, redirect_schemes, holdout, "
        "influence, retention, privacy, not a list",
    ),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_what_is_no_yaml_is_said_in_words(name: str, tmp_path: Path) -> None:
    data, expected = BAD_YAML[name]
    assert mistakes(tmp_path, shop=data)[0] == expected


def test_every_mistake_of_every_file_at_once(tmp_path: Path) -> None:
    assert mistakes(
        tmp_path,
        a="placements:\n  hero:\n    content: [one, tow]\n    default: one\n    slots: 0\n    window: 3\n",
        b="content:\n  one: {type: html}\n  two: {when: 'x >'}\nsegmnts: {}\n",
        c="affinities:\n  brand:\n    half_life: 0d\n    rules: [{event: Seen, key: brand}]\n",
    ) == [
        "a.yaml:3: placements.hero.content[1]: no content 'tow'; did you mean 'two'?",
        "a.yaml:5: placements.hero.slots: must lie between 1 and 50",
        "a.yaml:6: placements.hero.window: must be a length of time such as 30m, 12h or 14d, not '3'; "
        "write the unit: 3m, 3d",
        "b.yaml:2: content.one.body: a html content needs text here",
        "b.yaml:3: content.two.when: not a CEL expression: something is missing at the end",
        "b.yaml:4: segmnts: unknown field; did you mean 'segments'?",
        "c.yaml:3: affinities.brand.half_life: must be positive",
        "c.yaml:4: affinities.brand.rules[0].key: must be a dotted path that starts with one of content, "
        "context, event, fields, properties, traits, type",
    ]


def test_whose_the_arms_are_cannot_be_left_empty(tmp_path: Path) -> None:
    assert mistakes(tmp_path, shop="placements:\n  hero: {arms: null}\ncontent: {a: {}}\n") == [
        "shop.yaml:2: placements.hero.arms: must be one of caller, catalog, not empty"
    ]


def test_a_name_defined_in_two_files_names_both_places(tmp_path: Path) -> None:
    assert mistakes(tmp_path, a=GOOD, b="content:\n  b: {}\n", c="session_gap: 1h\n", d="session_gap: 2h\n") == [
        "b.yaml:2: content.b: is written twice, first at a.yaml:8; keep one",
        "d.yaml:1: session_gap: is written twice, first at c.yaml:1; keep one",
    ]


def test_a_file_that_does_not_parse_makes_no_false_alarm_of_the_names_it_defines(tmp_path: Path) -> None:
    assert mistakes(
        tmp_path, placements=GOOD.split("content:\n  a")[0], content="content:\n\ta: {}\n  b: {}\n"
    ) == ["content.yaml:2: a tab; indent with spaces"]


def test_a_wrong_field_makes_no_false_alarm_of_what_it_is_compared_with(tmp_path: Path) -> None:
    text = GOOD.replace("default: a", "default: a\n    reward_range: [0, x]\n    default_reward: 5")
    assert mistakes(tmp_path, shop=text) == [
        "shop.yaml:6: placements.home.hero.reward_range: must be two numbers, lowest and highest, such as [0, 1]"
    ]


def test_a_mistake_stays_on_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    text = GOOD + '"seg\\nments": 1\nsegments: {x: "a >\\n b >"}\n'
    first, second = mistakes(tmp_path, shop=text)
    assert first == "shop.yaml:9: seg ments: unknown field; did you mean 'segments'?"
    assert second.startswith("shop.yaml:10: segments.x: not a CEL expression: something is missing at the end")


def test_keys_are_checked(tmp_path: Path) -> None:
    text = GOOD + "sources:\n  a: {write_keys: [k, k]}\n  b: {server_keys: ['sha256:12', k]}\n"
    assert mistakes(tmp_path, shop=text) == [
        "shop.yaml:10: sources.a.write_keys[1]: the same key stands at sources.a.write_keys[0]; give each its own",
        "shop.yaml:11: sources.b.server_keys[0]: must be sha256: and 64 hex digits, as 'sha256sum' prints them",
        "shop.yaml:11: sources.b.server_keys[1]: the same key stands at sources.a.write_keys[0]; give each its own",
    ]


def test_a_named_key_is_checked_whole(tmp_path: Path) -> None:
    sha = "1" * 64
    keys = f"""\
sources:
  a:
    keys:
      "no name": {{sha256: {sha}, role: viewer}}
      short: {{sha256: 12, role: viewer}}
      wide: {{sha256: {"2" * 64}, role: viewer, permissions: [erase]}}
      page: {{sha256: {"3" * 64}, role: server, origins: ["https://shop.example"]}}
      same: {{sha256: {"4" * 64}, role: server, before: {{sha256: {sha}, expires: 2027-01-01}}}}
"""
    assert mistakes(tmp_path, shop=GOOD + keys) == [
        "shop.yaml:12: sources.a.keys.no name: commands name it: use at most 64 letters, digits, _, - and ., "
        "beginning with a letter or digit",
        "shop.yaml:13: sources.a.keys.short.sha256: must be 64 hex digits, as `nextbest keys create` and sha256sum "
        "print them",
        "shop.yaml:14: sources.a.keys.wide.permissions[0]: 'erase' is nothing that a key of role viewer may do; it "
        "has read. Leave it out, or write another role",
        "shop.yaml:15: sources.a.keys.page.origins: no page may hold a key of role server; leave them out, or "
        "write role: write",
        "shop.yaml:16: sources.a.keys.same.before: the same key stands at sources.a.keys.no name; give each its "
        "own",
    ]


def test_limits_are_checked(tmp_path: Path) -> None:
    text = (
        GOOD
        + "sources:\n  a:\n    limits: {per_address: fast, per_write_key: 0 per 10s, per_server_key: 5 per 2h}\n"
    )
    found = mistakes(tmp_path, shop=text)
    assert found[0].startswith("shop.yaml:11: sources.a.limits.per_address: must be such as '2000 per 10s'")
    text = text.replace("fast", "unlimited")
    assert mistakes(tmp_path, shop=text) == [
        f"shop.yaml:11: sources.a.limits.{name}: must be 1 or more within a length of time up to an hour, such as "
        "2000 per 10s; or unlimited"
        for name in ("per_server_key", "per_write_key")
    ]
    limits = (
        load(tmp_path, shop=GOOD + "sources:\n  a: {limits: {per_address: 600 per minute}}\n").sources["a"].limits
    )
    assert (limits.per_address.limit, limits.per_address.within_ms) == (600, 60_000)
    assert not limits.per_write_key.is_limited


def test_empty_missing_and_unreadable_folders(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidCatalog, match=r"^empty: holds no \.yaml file"):
        load_catalog(empty)
    with pytest.raises(InvalidCatalog, match="there is no such folder"):
        load_catalog(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(InvalidCatalog, match="is a file; give the folder it lies in"):
        load_catalog(tmp_path / "file")
    (empty / "x.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidCatalog, match=r"^x\.yaml: cannot be read: No such file or directory"):
        load_catalog(empty)
    (empty / "x.yaml").unlink()
    (empty / "comments.yaml").write_text("# nothing yet\n")
    with pytest.raises(InvalidCatalog, match="placements: is missing: Where something may be shown, by name"):
        load_catalog(empty)


def test_what_is_harmless_is_forgiven(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        shop="""\ufeff
defaults: &base
placements:
  hero:
    content: a
    default: a
    policy: linucb
    holdout: 10%
    window: 1 h 30 min
    sticky: yes
    rewards: {event: 404, value: properties.x}
content:
  a:
    body: {answer: no, postcode: 01067, price: 9.5, nothing: , "on": on, yes: true}
    locales: {no: Hei, de-AT: Servus}
    cap: 3 x per day
    starts: 2026-01-01
    ends: never
    features: {new: true, size: "42", price: 42, themes: [sale, "7", 8]}
  b: {cap: [2 per 7d, 9 Times A Day per group], group: promos}
affinities:
segments: {always: true}
""".replace("defaults: &base\n", ""),
    )
    hero, a, b = catalog.placements["hero"], catalog.content["a"], catalog.content["b"]
    assert (hero.content, hero.policy.name, hero.holdout, hero.window_ms) == (("a",), "linucb", 0.1, 90 * MINUTE_MS)
    assert hero.sticky is True
    assert (hero.rewards[0].event, hero.rewards[0].value) == ("404", "properties.x")
    assert a.body == {"answer": "no", "postcode": "01067", "price": 9.5, "nothing": None, "on": "on", "yes": True}
    assert a.locales == {"no": "Hei", "de-AT": "Servus"}
    assert a.cap == (Cap(limit=3, per="day"),)
    assert (b.cap, b.group) == ((Cap(limit=2, within_ms=7 * DAY_MS), Cap(limit=9, per="day", of="group")), "promos")
    assert (a.starts_ms, a.ends_ms) == (1_767_225_600_000, None)
    assert a.features == {"new": 1.0, "size": "42", "price": 42.0, "themes": ("sale", "7", "8")}
    assert catalog.segments == {"always": "true"}


def test_aliases_and_merge_keys_repeat_what_is_written_once(tmp_path: Path) -> None:
    catalog = load(
        tmp_path,
        shop="""
placements:
  one: &one {content: [a], default: a, window: 2d, slots: 2}
  two: {<<: *one, slots: 3}
content: {a: {}}
""",
    )
    assert (catalog.placements["two"].window_ms, catalog.placements["two"].slots) == (2 * DAY_MS, 3)


def test_names_of_models_and_policies_can_be_checked_by_others(tmp_path: Path) -> None:
    asked: list[str] = []
    (tmp_path / "shop.yaml").write_text(GOOD)

    def check_model(spec: ModelSpec, field: str) -> None:
        asked.append(f"{field}={spec.name}")

    def check_policy(spec: PolicySpec, field: str, arms: Collection[str]) -> tuple[InvalidInput, ...]:
        asked.append(f"{field}={spec.name} {'/'.join(arms)}")
        return ()

    load_catalog(tmp_path, check_model=check_model, check_policy=check_policy)
    assert asked == ["placements.home.hero.model=default", "placements.home.hero.policy=default a/b"]


@pytest.mark.parametrize("folder", [shipped_catalog(), demo_catalog()], ids=lambda path: path.name)
def test_the_shipped_catalogs_load(folder: Path) -> None:
    compiled = compile_catalog(load_catalog(folder), 1)
    assert "home.hero" in compiled.placements
    assert any(source.consent_default == "granted" for source in compiled.catalog.sources.values())


def test_the_shop_shows_what_there_is() -> None:
    shop = load_catalog(shipped_catalog())
    assert list(shop.placements) == ["home.hero", "home.recommendations", "app.banner", "cart.offer"]
    assert shop.placements["home.recommendations"].slots == 3
    assert {content.type for content in shop.content.values()} == {"html", "json", "redirect"}
    events = {reward.event for placement in shop.placements.values() for reward in placement.rewards}
    assert events == {"Product Clicked", "Product Added", "Order Completed"}
    used = {name for placement in shop.placements.values() for name in placement.content}
    assert used == set(shop.content)


def test_the_demo_serves_eight_shelves_and_holds_nobody_out() -> None:
    demo = load_catalog(demo_catalog())
    hero = demo.placements["home.hero"]
    assert (len(hero.content), hero.holdout, hero.default_reward, hero.rewards) == (8, 0.0, 0.0, ())
    genres = [genre for name in hero.content for genre in of_type(tuple, demo.content[name].features["genres"])]
    assert len(genres) == len(set(genres)) == 19
