"""A policy on trial: asked beside the one in force, promoted and demoted, and kept so whatever is published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [red, green]
    default: red
    window: 300ms
    policy: uniform
    challenger: {{policy: {{name: fixed, parameters: {{arm: green}}}}}}
    rewards:
      - event: Clicked
  plain: {{content: [red, green], default: red}}
content:
  red: {{body: {{}}}}
  green: {{body: {{title: {title}}}}}
sources:
  site: {{write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG.format(title="one")) as site:
        yield site


def decided(site: Site, n: int, name: str = "v") -> list[dict[str, Any]]:
    return [site.decide({"anonymousId": f"{name}{each}"}, "hero") for each in range(n)]


def contest(site: Site) -> dict[str, Any]:
    (found,) = map(json.loads, site.command("challengers", "--json").splitlines())
    return dict(found)


def in_force(site: Site, policy: str) -> bool:
    return bool(site.decide({"anonymousId": "whoever"}, "hero", activate=False)["policy"] == policy)


def test_what_it_would_have_chosen_and_brought_is_added_up(site: Site) -> None:
    made = decided(site, 60)
    assert {each["policy"] for each in made} == {"uniform"}
    until(lambda: contest(site)["found"]["nOutcomes"] >= 60, "all are added up")
    found = contest(site)
    assert (found["placement"], found["inForce"], found["onTrial"]) == ("hero", "uniform", "fixed")
    assert (found["standing"], found["found"]["nDecisions"]) == ("on trial", 60)
    share = sum(each["contentId"] == "green" for each in made) / len(made)
    # Of a fixed policy: 1 of what it chooses, but for the floor under the other arm.
    assert found["found"]["matchRate"] == pytest.approx(share, abs=0.05)
    assert "60 outcomes are too few" in found["found"]["missing"]
    shown = site.command("challengers")
    assert "fixed cannot be compared yet: 60 outcomes are too few" in " ".join(shown.split())


def test_it_is_promoted_and_demoted_and_stays_so_whatever_is_published(site: Site) -> None:
    (before,) = decided(site, 1, "before")
    assert "promoted" in site.command("promote", "hero")
    until(lambda: in_force(site, "fixed"), "the challenger decides")
    refused = site.ran("promote", "hero")
    assert (refused.returncode, "fixed is in force in hero already" in refused.stderr) == (1, True)
    assert (contest(site)["standing"], contest(site)["onTrial"]) == ("promoted", "uniform")
    assert "hero: fixed promoted, by command of" in " ".join(site.command("history", "--limit", "1").split())

    site.publish(CATALOG.format(title="two"))
    until(
        lambda: any(each["content"] == {"type": "json", "json": {"title": "two"}} for each in decided(site, 3)),
        "it is in force",
    )
    assert in_force(site, "fixed"), "of which the policies are the same"
    # What was decided before is made again by the policy that was in force then.
    asked = ("replay-decision", before["decisionId"], "--json")
    until(lambda: "the log has no record of" not in site.ran(*asked).stderr, "the decision is recorded")
    assert json.loads(site.command(*asked))["choice"] == "same"

    site.command("demote", "hero")
    until(lambda: in_force(site, "uniform"), "the policy of the catalog decides")
    assert contest(site)["standing"] == "demoted"
    acts = site.command("audit", "show")
    assert "policy_promoted" in acts
    assert "policy_demoted" in acts


def test_what_cannot_be_promoted_is_said_with_a_remedy(site: Site) -> None:
    for placement, words in (
        ("plain", "put one on trial"),
        ("nowhere", "there are: hero, plain"),
    ):
        done = site.ran("promote", placement)
        assert done.returncode == 1
        assert words in done.stderr
