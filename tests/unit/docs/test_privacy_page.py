"""What the page on privacy tells people is so: its tables are held to the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from msgspec import structs

from api.services.receipt_claims import Answered, receipt_claims
from eventlog.topics import Topics
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.entry import Entry, Position, Sender
from personalization.events.event import DecisionMade, Page, Track
from personalization.folding.fold import fold
from personalization.visitor.purposes import Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.keys import Keys
from tests.of_type import of_type
from tests.receipts import PRIVACY
from tests.servers import ROOT
from tests.unit.api.site import NOW, Site, open_site, shop
from tests.unit.api.test_consent_receipts import answer, claims

PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
KEY = "a:a1"


def section(title: str) -> str:
    _, found, rest = PAGE.partition(f"\n## {title}\n")
    assert found, f"there is no section {title}"
    return rest.partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The rows of all tables in a text, without their heads."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    rules = [index for index, row in enumerate(rows) if set("".join(row)) <= set("-")]
    heads = {each for index in rules for each in (index - 1, index)}
    return [row for index, row in enumerate(rows) if index not in heads]


def codes(rows: list[list[str]], column: int = 0) -> set[str]:
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row[column])}


def names_in_redis() -> Iterator[str]:
    """What each of our keys is called on the page: its first word, with ``…`` or ``{id}`` for what varies."""
    keys = Keys("ns")
    for name, member in inspect.getmembers(Keys):
        if name.startswith("_") or name in ("namespace", "visitor_key_of"):
            continue
        made = getattr(keys, name)
        if not isinstance(member, property):
            parameters = inspect.signature(made).parameters.values()
            made = made(*(b"1" if each.annotation == "bytes" else "1" for each in parameters))
        first, _, more = made.removeprefix("ns:").partition(":")
        yield first + (":" if more else "")


def test_every_key_in_redis_and_every_topic_stands_on_the_page() -> None:
    told = codes(table(section("What is kept of a person")))
    by_first = {code.partition(":")[0] + (":" if ":" in code else "") for code in told}
    assert set(names_in_redis()) - by_first == set()
    assert set(Topics()) - told == set()


def test_what_a_receipt_says_stands_on_the_page() -> None:
    rows = table(section("Receipts"))
    told = codes(rows) | {part for code in codes(rows, 1) for part in re.split(r"\W+", code)}
    privacy = structs.replace(PRIVACY, controller=structs.replace(PRIVACY.controller, address="1 Example Street"))

    def fields(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for name, member in value.items():
                yield name
                yield from fields(member)
        elif isinstance(value, list):
            for each in value:
                yield from fields(each)

    said = {"personalization": True, "sale_sharing": False}
    receipt = receipt_claims(Answered("r", KEY, said, frozenset(), NOW, False, "de", "banner"), privacy)
    assert set(fields(receipt)) - {part.removesuffix("[]") for part in told} == set()


@dataclass
class Answer:
    """A row of the table of answers."""

    said: str
    collected: str
    profiled: str
    personalised: str
    learned: str


ANSWERS = [Answer(*row) for row in table(section("What an answer changes"))]
SCENES: dict[str, tuple[bool | None, str]] = {
    "granted `personalization`": (True, "strict"),
    "refused it": (False, "web"),
    "was never asked, `consent_default: granted`": (None, "web"),
    "was never asked, `consent_default: denied`": (None, "strict"),
}


def test_the_table_of_answers_is_whole() -> None:
    assert [answer.said for answer in ANSWERS] == list(SCENES)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with open_site(compiled=compile_catalog(structs.replace(shop(), privacy=PRIVACY), 12)) as opened:
        yield opened


@pytest.mark.parametrize("told", ANSWERS, ids=lambda told: told.said)
async def test_an_answer_changes_what_the_page_says(site: Site, told: Answer) -> None:
    word, source = SCENES[told.said]
    headers = {"Authorization": "Bearer pk_dev" if source == "web" else "Bearer pk_strict"}
    state = VisitorState(now_ms=NOW - 9, consents={} if word is None else {"personalization": Word(word, NOW - 9)})
    site.visitors.states = {KEY: state}
    page = {"type": "page", "anonymousId": "a1"}
    refusal = {"type": "track", "event": "Consent Updated", "properties": {"personalization": False}}

    await site.collect(page, *([{**refusal, "anonymousId": "a1"}] if word is False else []), headers=headers)
    logged = {type(entry.event): entry for _, entry in site.entries()}
    collected = "yes" if Page in logged else "the refusal alone" if Track in logged else "no"

    event = Page(message_id="m", anonymous_id="a1")
    entry = Entry(
        received_at_ms=NOW, occurred_at_ms=NOW, catalog_version=12, event=event, sender=Sender(source, "write")
    )
    visitor = Visitor.new()
    visitor.state = structs.replace(state)
    fold(visitor, KEY, Position(1, 0), entry, site.compiled)
    profiled = "yes" if visitor.state.event_count else "no"

    (decision,) = (await site.decide(headers=headers)).json()["decisions"]
    personalised = {"personalised": "yes", "rules": "by rules alone"}[decision["tier"]]
    made = [of_type(DecisionMade, entry.event) for _, entry in site.spool.entries()]
    learned = "yes" if any(each.trains for each in made) else "no"
    assert Answer(told.said, collected, profiled, personalised, learned) == told


async def test_purposes_are_compared_as_the_page_says(site: Site) -> None:
    names = re.search(r"So `(.+?)`, `(.+?)` and `(.+?)` are one purpose", PAGE)
    assert names is not None
    for name in names.groups():
        given = await answer(site, {name: False})
        assert [each["purpose"] for each in (await claims(site, given["receipt"]))["events"]] == ["sale_sharing"]
