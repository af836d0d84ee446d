"""``nextbest why`` prints what pages sent: no terminal obeys it, and in a pipe nothing is cut off."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

import cli.why as module
from cli.why import why
from personalization.catalog.catalog import Content
from personalization.explaining.explanation import Explanation
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.explaining.test_words import Telling
from tests.unit.personalization.explaining.watched import watched
from tests.unit.personalization.scenes import catalog

WILD = "\x1b]0;mine\x07\x1b[2J[red]free"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Explanation:
    shop = catalog({"red": Content(body=1), "gold": Content(body=1, when="traits.plan == 'pro'")})
    _, found = watched(shop, states=[VisitorState(traits={"plan": WILD})], models={"hero": Telling()})

    async def explained(*_: Any) -> list[Explanation]:
        return found

    monkeypatch.setattr(module, "_told", explained)
    return found[0]


def test_nothing_that_a_terminal_obeys_is_printed(told: Explanation) -> None:
    printed = CliRunner().invoke(why, ["ann", "hero"]).stdout
    assert "[red]free" in printed, "it is told, as text"
    assert printed.replace("\n", "").isprintable()


def test_words_and_figures_stand_whole_in_a_pipe(told: Explanation) -> None:
    printed = CliRunner().invoke(why, ["ann", "hero"]).stdout
    first, *_ = printed.splitlines()
    assert first.startswith("The visitor was shown red, with a probability of 100 %.")
    assert first.endswith("takes for a yes.")
    assert told.drawn is not None
    for part in (f"ticket {told.drawn.ticket:,} of", "0 – 4,294,967,296", "what spoke for red", "+0.08", "gold"):
        assert part in printed


def test_as_json_it_is_what_the_api_answers(told: Explanation) -> None:
    printed = CliRunner().invoke(why, ["ann", "hero", "--json"]).stdout
    assert msgspec.json.decode(printed, type=Explanation) == told
