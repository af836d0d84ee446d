"""Variants of a placement in a catalog: what they override, and one clear line for each mistake."""

# ruff: noqa: E501  (a message stands in one line, as it is read)
from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import check_catalog, load_catalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.policy_spec import PolicySpec
from tests.unit.config.test_loader import GOOD, mistakes

LOGISTIC = "river.linear_model.LogisticRegression"

VARIANTS = """\
    variants:
      plain: {share: 20%}
      shop: {share: 0.3, policy: thompson, content: [b, c], learn: shared}
      deep:
        share: 10%
        model: river.linear_model.Perceptron
        model_parameters: {l2: 0.5}
        features: [device]
"""


def text(variants: str, rest: str = "") -> str:
    return GOOD.replace("    default: a\n", f"    default: a\n{variants}{rest}") + "  c: {}\n"


def test_a_variant_overrides_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    given = "    policy: squarecb\n    model: river.linear_model.LogisticRegression\n    model_parameters: {l2: 2.0}\n    holdout: 10%\n"
    (tmp_path / "shop.yaml").write_text(text(VARIANTS, given))
    compiled = compile_catalog(load_catalog(tmp_path), 1)
    hero = compiled.placements["home.hero"]
    assert (hero.variant, hero.model, hero.is_shared) == ("", "home.hero", False)
    plain, shop, deep = (hero.variants[name] for name in ("plain", "shop", "deep"))
    assert [hero.spec.variants[name].share for name in hero.variants] == [0.2, 0.3, 0.1]
    assert (plain.spec.policy, plain.spec.model, plain.spec.model_parameters) == (
        PolicySpec(name="squarecb"), LOGISTIC, {"l2": 2.0},
    )  # fmt: skip
    assert [arm.id for arm in plain.arms] == ["a", "b"]
    assert (shop.spec.policy.name, [arm.id for arm in shop.arms], shop.spec.model) == (
        "thompson", ["b", "c"], LOGISTIC,
    )  # fmt: skip
    assert (deep.spec.model, deep.spec.model_parameters, deep.features) == (
        "river.linear_model.Perceptron", {"l2": 0.5}, ("device",),
    )  # fmt: skip
    assert {each.rules for each in hero.variants.values()} == {hero.rules}, "rewards are the placement's"
    assert {name: each.variant for name, each in compiled.models.items()} == {
        "home.hero": "", "home.hero@plain": "plain", "home.hero@deep": "deep",
    }  # fmt: skip
    assert (shop.model, shop.is_shared) == ("home.hero", True)
    assert list(hero.all_arms()) == ["a", "b", "c"]


def test_parameters_of_the_placements_model_are_not_those_of_a_variants_other_model(tmp_path: Path) -> None:
    given = "    model: river.linear_model.LogisticRegression\n    model_parameters: {l2: 2.0}\n"
    (tmp_path / "shop.yaml").write_text(text("    variants: {b: {share: 50%, model: default}}\n", given))
    varied = compile_catalog(load_catalog(tmp_path), 1).models["home.hero@b"].spec
    assert (varied.model, varied.model_parameters) == ("default", {})


BAD = {
    "{a: {share: 60%}, b: {share: 50%}}": "home.hero.variants: have shares of 1.1, more than everybody; lower them to 1 (100%) together, or less",
    "{a: {share: 110%}}": "home.hero.variants.a.share: is a share: 0 or more, at most 1",
    "{a: {share: -0.1}}": "home.hero.variants.a.share: is a share: 0 or more, at most 1",
    "{a: {share: half}}": "home.hero.variants.a.share: must be a share such as 0.1 or 10%, not 'half'",
    "{a: {policy: thompson}}": "home.hero.variants.a.share: is missing: Of all visitors who are not held out, [0, 1]. Who is in no variant gets the placement as it is written",
    "{a: {share: 50%, content: [a, d]}}": "home.hero.variants.a.content[1]: no content 'd'; define it under content",
    "{a: {share: 50%, content: []}}": "home.hero.variants.a.content: must name at least one content, or tags of items",
    "{a: {share: 50%, content: [a, a]}}": "home.hero.variants.a.content: names a content twice",
    "{a@b: {share: 50%}}": "home.hero.variants.a@b: stands in metrics and names of models: use at most 32 letters, digits, - and _",
    "{control: {share: 50%}}": "home.hero.variants.control: 'control' is what held-out visitors are called by; choose another name",
    "{a: {share: 50%, policy: thomson}}": "home.hero.variants.a.policy.name: unknown policy 'thomson'; use one of default, thompson, linucb, squarecb, epsilon_greedy, uniform, fixed",
    "{a: {share: 50%, features: [devise]}}": "home.hero.variants.a.features[0]: nothing of a visitor or a request is called 'devise'; did you mean 'device'?",
    "{a: {share: 50%, learn: shared, model: default}}": "home.hero.variants.a.model: cannot differ where the placement's model is shared; leave out this or learn: shared",
    "{a: {share: 50%, learn: shared, features: [device]}}": "home.hero.variants.a.features: cannot differ where the placement's model is shared; leave out this or learn: shared",
    "{a: {share: 50%, learn: alone}}": "home.hero.variants.a.learn: must be one of own, shared, not 'alone'",
    "{a: {share: 50%, window: 1h}}": "home.hero.variants.a.window: unknown field; known here: content, features, learn, model, model_parameters, policy, share",
    "{" + ", ".join(f"v{n}: {{share: 10%}}" for n in range(9)) + "}": "home.hero.variants: are at most 8",
}  # fmt: skip


@pytest.mark.parametrize("variants", BAD)
def test_a_bad_variant(variants: str, tmp_path: Path) -> None:
    assert mistakes(tmp_path, shop=text(f"    variants: {variants}\n")) == [
        f"shop.yaml:6: placements.{BAD[variants]}"
    ]


def test_a_placement_may_not_have_the_name_of_a_variants_model(tmp_path: Path) -> None:
    both = text("    variants: {b: {share: 50%}}\n").replace(
        "content:\n  a: {}", "  home.hero@b:\n    content: [a]\n    default: a\ncontent:\n  a: {}"
    )
    assert mistakes(tmp_path, shop=both) == [
        "shop.yaml:7: placements.home.hero@b: is the name of the model of home.hero's variant 'b' too; rename one of them"
    ]
    (tmp_path / "shop.yaml").write_text(both.replace("50%}", "50%, learn: shared}"))
    assert set(compile_catalog(load_catalog(tmp_path), 1).models) == {"home.hero", "home.hero@b"}


def test_a_fixed_arm_must_be_among_the_variants_own_contents(tmp_path: Path) -> None:
    variants = "    variants: {x: {share: 50%, content: [b]}}\n"
    policy = "    policy: {name: fixed, parameters: {arm: a}}\n"
    (found,) = mistakes(tmp_path, shop=text(variants, policy))
    assert found.startswith("shop.yaml:6: placements.home.hero.variants.x"), found
    assert "'a'" in found


def test_where_callers_bring_the_arms_no_variant_names_contents(tmp_path: Path) -> None:
    shop = "placements:\n  mine:\n    arms: caller\n    variants:\n      x: {share: 10%, content: [a]}\ncontent: {a: {}}\n"
    assert mistakes(tmp_path, shop=shop) == [
        "shop.yaml:5: placements.mine.variants.x.content: has no meaning where callers bring the arms; leave it out, or leave out arms: caller"
    ]
    (tmp_path / "shop.yaml").write_text(shop.replace("content: [a]}", "policy: thompson, features: [device]}"))
    assert list(load_catalog(tmp_path).placements["mine"].variants) == ["x"]


def test_where_the_catalog_names_no_content_none_can_be_fixed(tmp_path: Path) -> None:
    policy = "policy: {name: fixed, parameters: {arm: a}}"
    shop = f"placements:\n  mine:\n    arms: caller\n    {policy}\n    variants: {{x: {{share: 10%, {policy}}}}}\ncontent: {{a: {{}}}}\n"
    said = "the catalog names no content of this placement, so 'a' cannot be fixed; choose another policy"
    assert mistakes(tmp_path, shop=shop) == [
        f"shop.yaml:4: placements.mine.policy.parameters.arm: {said}",
        f"shop.yaml:5: placements.mine.variants.x.policy.parameters.arm: {said}",
    ]


def test_warnings_look_at_variants_too(tmp_path: Path) -> None:
    variants = "    variants: {x: {share: 50%, content: [c], policy: {min_probability: 0.9}}}\n"
    (tmp_path / "shop.yaml").write_text(text(variants, "    slots: 2\n"))
    checked = check_catalog(tmp_path)
    found = [str(each) for each in checked.warnings if "placements" in str(each)]
    assert not checked.mistakes
    assert found == [], "c and the default fill two slots; 0.9 can be had by one content"
    (tmp_path / "shop.yaml").write_text(text(variants.replace("[c]", "[b, c]"), "    slots: 4\n"))
    found = [str(each) for each in check_catalog(tmp_path).warnings if "placements" in str(each)]
    assert [each.split(": ")[2] for each in found] == [
        "placements.home.hero.variants.x.policy.min_probability",
        "placements.home.hero.variants.x.slots",
        "placements.home.hero.slots",
    ]
    assert not [each for each in check_catalog(tmp_path).warnings if "no placement shows it" in str(each)]
