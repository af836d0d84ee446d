"""The types of the wire are those that the API describes: none is missing, none unknown; null where it may be."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from nextbest_client import Answer, Decision, Placement, Visitor, Warned
from nextbest_client.wire import camel

DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.json"
SCHEMAS: dict[str, Any] = json.loads(DESCRIPTION.read_text())["components"]["schemas"]

OF_SEVERAL = {"index"}
"""Of warnings of a batch; a decide has none."""
ASKED_FOR = {"explanation"}
"""Of those who may ask why: people at a screen, who have the API's own answer."""
OWN = {"error"}
NULL_OF_A_DEFAULT = {"decisionId", "contentId", "catalogVersion"}


@pytest.mark.parametrize(
    ("shape", "schema"),
    [
        (Answer, "DecideAnswer"),
        (Decision, "DecisionAnswer"),
        (Warned, "Warned"),
        (Visitor, "Visitor"),
        (Placement, "Placement"),
    ],
)
def test_a_type_of_the_wire_is_as_the_api_describes_it(shape: Any, schema: str) -> None:
    told = SCHEMAS[schema]["properties"]
    types = {camel(name): type_ for name, type_ in get_type_hints(shape).items()}
    assert {camel(each.name) for each in fields(shape)} - OWN == told.keys() - OF_SEVERAL - ASKED_FOR
    for name in told.keys() - OF_SEVERAL - ASKED_FOR:
        if types[name] is Any or schema in ("Visitor", "Placement"):
            continue  # what is sent may say less than it could
        may_be_null = any(each == {"type": "null"} for each in told[name].get("anyOf", ()))
        assert (type(None) in getattr(types[name], "__args__", ())) is (may_be_null or name in NULL_OF_A_DEFAULT)


def test_what_is_sent_beside_the_types_is_known_to_the_api() -> None:
    assert {"visitor", "placements", "requestId", "context", "activate", "deadlineMs", "events"} <= SCHEMAS[
        "Decide"
    ]["properties"].keys()
    assert {"decisionId", "name", "value", "messageId", "final"} <= SCHEMAS["NamedReward"]["properties"].keys()
    assert {"type", "messageId", "timestamp", "event", "name", "properties", "traits", "context"} <= SCHEMAS[
        "Event"
    ]["properties"].keys()
