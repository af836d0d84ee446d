"""A catalog to start with is right whatever was answered, and does what its README says."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import msgspec
import pytest

from cli.init import write_new
from config.loader import check_catalog, load_catalog
from config.schema import catalog_schema_text
from config.starters.answers import KINDS, Answers, Consent, read_name, read_origins
from config.starters.credentials import Credentials, hashed
from config.starters.starter import starter_files
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.deciding.decider_catalog import prepare
from personalization.deciding.request import PlacementRequest
from personalization.errors import InvalidInput
from personalization.events.event import ClientEvent, DecisionMade, Page, Track
from personalization.visitor.choice import Choice
from tests.unit.personalization.scenes import ask, run
from tests.unit.personalization.world import World

CONSENTS: tuple[Consent, ...] = ("denied", "granted")
ORIGINS = ("https://site.example", "http://localhost:8000")
NAMES = ("my-site", "A", "7", "1e3", "no", "true", "null", "2026-01-31", "2026-02-31", "0x1F", "x" * 64)
"""The later ones are no texts to YAML, if it is asked."""

_ROW = re.compile(
    r"^\| `(?P<event>[^`]+)` \| `(?P<properties>\{.*?\})` \| (?P<rewards>.*?) \| (?P<does>.*) \|$", re.M
)


def folder(
    where: Path, kind: str, consent: Consent = "granted", *, users: bool = False, name: str = "my-site"
) -> Path:
    write_new(where, starter_files(Answers(kind, name, ORIGINS, consent, users), Credentials.new()))
    return where


@pytest.mark.parametrize(("kind", "consent", "users"), [*itertools.product(KINDS, CONSENTS, (False, True))])
def test_whatever_is_answered_the_catalog_is_right_and_nothing_is_doubtful(
    kind: str, consent: Consent, users: bool, tmp_path: Path
) -> None:
    answers = Answers(kind, "my-site", ORIGINS, consent, users)
    credentials = Credentials.new()
    write_new(tmp_path / "site", starter_files(answers, credentials))
    checked = check_catalog(tmp_path / "site")
    assert [str(finding) for finding in (*checked.mistakes, *checked.warnings)] == []
    source = checked.catalog_or_raise().sources["my-site"]
    assert source.consent_default == consent
    assert source.verify_users is users
    assert source.write_keys == (hashed(credentials.write_key),)
    assert source.server_keys == (hashed(credentials.server_key),)
    assert source.origins == ORIGINS
    text = (tmp_path / "site" / "sources.yaml").read_text()
    assert ("userToken" in text) is users
    assert ("userHash" in text) is users


@pytest.mark.parametrize("name", NAMES)
def test_every_name_names_the_source(name: str, tmp_path: Path) -> None:
    checked = check_catalog(folder(tmp_path / "site", "shop", name=read_name(name), users=True))
    assert [str(finding) for finding in (*checked.mistakes, *checked.warnings)] == []
    assert list(checked.catalog_or_raise().sources) == [name]


def test_with_the_marks_out_the_words_on_privacy_are_right_as_they_stand(tmp_path: Path) -> None:
    path = folder(tmp_path / "site", "shop") / "privacy.yaml"
    retention, marked = path.read_text().split("# privacy:")
    path.write_text(retention + "privacy:" + re.sub(r"(?m)^# ", "", marked))
    checked = check_catalog(path.parent)
    assert [str(finding) for finding in (*checked.mistakes, *checked.warnings)] == []
    privacy = checked.catalog_or_raise().privacy
    assert privacy is not None
    assert privacy.controller.name == "Example Ltd"
    assert list(privacy.purposes) == ["personalization"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_shows_what_a_catalog_can_do(kind: str, tmp_path: Path) -> None:
    catalog = load_catalog(folder(tmp_path / "site", kind))
    assert 2 <= len(catalog.segments) <= 3
    assert compile_catalog(catalog, 1).series_by_event, "a segment looks at a window"
    assert catalog.affinities
    assert catalog.conversions
    assert all(placement.rewards for placement in catalog.placements.values())
    assert any(placement.holdout for placement in catalog.placements.values())
    assert (tmp_path / "site" / "catalog.schema.json").read_text() == catalog_schema_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_events_in_the_readme_bring_every_metric_of_the_experiment(kind: str, tmp_path: Path) -> None:
    site = folder(tmp_path / "site", kind)
    catalog = compile_catalog(load_catalog(site), 1)
    assert catalog.metrics.keys() > catalog.conversions.keys(), "metrics beside the conversions"
    (placement,) = (each for each in catalog.placements.values() if each.split)
    world = World(catalog=catalog)
    arm = placement.spec.default
    choice = Choice(
        "d", placement.name, arm=arm, weight=2**31, catalog_version=1, slot=0, holdout=False, variant=""
    )
    world.send("a:1", DecisionMade(message_id="m", choice=choice))
    for n, row in enumerate(_ROW.finditer((site / "README.md").read_text())):
        event = example(row["event"], msgspec.json.decode(row["properties"]))
        world.send("a:1", msgspec.structs.replace(event, message_id=f"e{n}"))
    world.time_out("a:1", after_ms=placement.spec.horizon_ms)
    (participant,) = world.participants
    assert participant.values.keys() >= catalog.metrics.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_every_placement_shows_something_that_the_page_can_render(kind: str, tmp_path: Path) -> None:
    catalog = load_catalog(folder(tmp_path / "site", kind))
    prepared = prepare(compile_catalog(catalog, 3))
    asked = [PlacementRequest(name) for name in catalog.placements]
    answer = run(prepared, ask(*asked), models={})
    assert {decision.placement for decision in answer.decisions} == catalog.placements.keys()
    for content in catalog.content.values():
        for localised in (content.body, *content.locales.values()):
            assert set(localised) == {"title", "text", "button", "link"}, "what the page in README.md reads"


@pytest.mark.parametrize("kind", KINDS)
def test_the_events_in_the_readme_bring_the_rewards_it_says(kind: str, tmp_path: Path) -> None:
    site = folder(tmp_path / "site", kind)
    catalog = compile_catalog(load_catalog(site), 1)
    rows = list(_ROW.finditer((site / "README.md").read_text()))
    assert len(rows) >= 4
    told: set[str] = set()
    for row in rows:
        rewards = dict(re.findall(r"`([^`]+)` ([\d.]+)", row["rewards"]))
        event = example(row["event"], msgspec.json.decode(row["properties"]))
        for placement in catalog.placements:
            expected = float(rewards.get(placement, 0.0))
            assert reward(catalog, placement, event) == pytest.approx(expected), (row["event"], placement)
        told |= rewards.keys()
    assert len(told) == 2


def example(name: str, properties: dict[str, object]) -> ClientEvent:
    if name == "page":
        return Page(message_id="e", properties=properties)
    return Track(message_id="e", event=name, properties=properties)


def reward(catalog: CompiledCatalog, placement: str, event: ClientEvent) -> float:
    """What a decision of the placement is learned to be worth if the event follows it: at best, of all its arms."""
    spec = catalog.placements[placement].spec
    found = []
    for arm in spec.content:
        world = World(catalog=catalog)
        choice = Choice("d", placement, arm=arm, weight=2**31, catalog_version=1, slot=0)
        world.send("a:1", DecisionMade(message_id="m", choice=choice))
        world.send("a:1", event)
        world.time_out("a:1", after_ms=spec.window_ms)
        (outcome,) = world.outcomes
        found.append(outcome.reward)
    if spec.attribution == "last_exposed":
        assert len(set(found)) == 1
    return max(found)


@pytest.mark.parametrize(
    "text", ["", "  ", "-shop", "my shop", "my_shop", "caf\u00e9", "a\nb: c", "x" * 65, "@name", "٣"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"letters, digits and -"):
        read_name(text)


@pytest.mark.parametrize(
    "text",
    [
        *("shop.example", "ftp://shop.example", "https://", "https://shop.example/cart", "https://a@shop.example"),
        *("https://shop.example:99999", "https://shop.example:0", "https://shop.example?x", "https://-a.example"),
        *("https://café.example", "https://a..example", "*", "https://shop.example, nonsense"),
    ],
)
def test_what_is_no_origin_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no origin: write http:// or https://"):
        read_origins(text)


def test_no_origin_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must not be empty"):
        read_origins(" , ")


def test_origins_are_read_as_browsers_send_them() -> None:
    assert read_origins("https://Shop.Example/ http://[::1]:8000,https://shop.example") == (
        "https://shop.example",
        "http://[::1]:8000",
    )
