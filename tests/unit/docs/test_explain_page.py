"""The example of the page about explanations is what is answered, figure by figure."""

from __future__ import annotations

import json
import re
from typing import Any

from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding import eligibility
from personalization.explaining.refusals import CLOSED
from personalization.visitor.visitor_state import VisitorState
from tests.servers import ROOT
from tests.unit.api.site import NOW, SERVER, open_site

PAGE = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
REQUEST, ANSWER = (json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def shop() -> Catalog:
    return Catalog(
        placements={"home.hero": Placement(content=("red", "green", "gold"), default="red")},
        content={
            "red": Content(body="red"),
            "green": Content(body="green"),
            "gold": Content(body="gold", when="traits.plan == 'pro'"),
        },
        segments={"buyers": "n_orders > 0"},
        sources={"site": Source(server_keys=("sk_dev",), consent_default="granted")},
    )


async def test_the_example_is_what_is_answered() -> None:
    state = VisitorState(revision=4, now_ms=NOW, n_orders=1, traits={"plan": "free"})
    for _ in range(100):  # what is drawn is another thing each time; the page shows green
        async with open_site(compiled=compile_catalog(shop(), 12)) as site:
            site.visitors.states["a:ann"] = state
            answer = (await site.client.post("/v1/decide", json=REQUEST, headers=SERVER)).json()
        told = answer["decisions"][0]["explanation"]
        if told["shown"] == ANSWER["shown"]:
            break
    assert _like(told, ANSWER) == ANSWER


def _like(told: Any, shown: Any) -> Any:
    """What was answered, as far as the page shows it."""
    if isinstance(shown, dict):
        return {name: _like(told[name], each) for name, each in shown.items()}
    if isinstance(shown, list):
        return [_like(*pair) for pair in zip(told, shown, strict=True)]
    return told


def test_every_reason_of_a_refusal_is_told() -> None:
    reasons = {value for name, value in vars(eligibility).items() if name.isupper() and isinstance(value, str)}
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `refused`")]
    assert reasons | {CLOSED} == set(re.findall(r"`(\w+)`", row)) - {"refused", "reason"}
