"""A policy on trial: asked beside the one in force, promoted and demoted without touching what people wrote."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog, Challenger, Content, Placement, PublishedCatalog, Standing
from personalization.catalog.compiled_catalog import CompiledPlacement, InvalidCatalog, compile_catalog
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.challengers import contest_of
from personalization.catalog.sections.variants import PlacementVariant

CHALLENGER = Challenger(policy=PolicySpec(name="thompson"))


def placement(**said: Any) -> Placement:
    return Placement(**{"content": ("a", "b"), "default": "a", "challenger": CHALLENGER, **said})


def compiled(spec: Placement, standing: Standing | None = None) -> CompiledPlacement:
    catalog = PublishedCatalog(
        placements={"hero": spec},
        content={"a": Content(body="a"), "b": Content(body="b")},
        standings={} if standing is None else {"hero": standing},
    )
    return compile_catalog(catalog, 1).placements["hero"]


def test_on_trial_it_is_asked_beside_the_policy_in_force() -> None:
    found = compiled(placement())
    assert found.spec.policy.name == "default"
    assert found.shadow is not None
    assert found.shadow.policy.name == "thompson"


def test_promoted_it_is_in_force_and_the_one_before_is_on_trial() -> None:
    spec = placement()
    before, found = compiled(spec), compiled(spec, Standing(contest_of(spec), "promoted", 0))
    assert found.spec.policy.name == "thompson"
    assert found.shadow is not None
    assert before.shadow is not None
    assert found.shadow.policy.name == "default"
    assert found.shadow.trial != before.shadow.trial, "another comparison has other sums"


def test_demoted_it_is_on_trial_again() -> None:
    spec = placement()
    assert compiled(spec, Standing(contest_of(spec), "demoted", 0)) == compiled(spec)


def test_a_standing_is_said_of_two_policies_and_of_no_others() -> None:
    spec = placement()
    promoted = Standing(contest_of(spec), "promoted", 0)
    other = structs.replace(spec, challenger=Challenger(policy=PolicySpec(name="linucb")))
    assert compiled(other, promoted).spec.policy.name == "default"


def test_a_variant_has_no_policy_on_trial() -> None:
    found = compiled(placement(variants={"bold": PlacementVariant(share=0.5)}))
    assert found.variants["bold"].shadow is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"policy": PolicySpec(name="thompson")}, "is the placement's own policy"),
        ({"apprentice": True}, "has nothing to be compared with"),
    ],
)
def test_what_cannot_be_compared_is_refused(said: dict[str, Any], words: str) -> None:
    catalog = Catalog(
        placements={"hero": placement(**said)}, content={"a": Content(body="a"), "b": Content(body="b")}
    )
    with pytest.raises(InvalidCatalog, match=words):
        compile_catalog(catalog, 1)
