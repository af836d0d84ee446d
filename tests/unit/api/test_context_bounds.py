"""What a decision may be told: so much, and no more, however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.limits.context_bounds import MAX_BYTES, MAX_ENTRIES, MAX_EVENT_VALUES, MAX_VALUES, bounded_context
from personalization.errors import InvalidInput
from personalization.events.event import Identify, Track
from tests.of_type import of_type
from tests.unit.api.site import Site

_CONTEXT = st.dictionaries(
    st.text(max_size=3),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("a,[{}]", max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
        max_leaves=20,
    ),
    max_size=5,
)


def n_values(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inside) + sum(n_values(each) for each in inside)


def is_refused(context: dict[str, Any]) -> bool:
    try:
        return bounded_context(context) is not context
    except InvalidInput as error:
        return (error.field, error.code) == ("context", "too_large")


@given(_CONTEXT, st.integers(0, 400))
def test_it_is_refused_where_it_has_too_much_and_only_there(part: dict[str, Any], times: int) -> None:
    context = {f"{n}": part for n in range(times)}
    n_bytes = len(json.dumps(context, separators=(",", ":"), ensure_ascii=False).encode())
    assert is_refused(context) is (n_bytes > MAX_BYTES or n_values(context) > MAX_VALUES)


@pytest.mark.parametrize("filling", [[], {}, 0, ""])
def test_a_thousand_values_are_enough_and_not_too_many(filling: Any) -> None:
    assert not is_refused({"a": [filling] * (MAX_VALUES - 1)})
    assert is_refused({"a": [filling] * MAX_VALUES})
    assert not is_refused({f"{n}": filling for n in range(MAX_VALUES)})
    assert is_refused({f"{n}": filling for n in range(MAX_VALUES + 1)})


def test_commas_in_texts_are_no_values() -> None:
    assert not is_refused({"a": ",[{" * 10_000})


def test_numbers_of_any_size_are_counted() -> None:
    assert not is_refused({"a": 10**30})
    assert is_refused({"a": [10**30] * (MAX_VALUES + 1)})


async def test_a_long_order_is_taken_with_the_products_that_rules_can_look_at(site: Site) -> None:
    products = [{"id": f"p{n}"} for n in range(MAX_ENTRIES + 50)]
    order = {
        "type": "track",
        "event": "Order Completed",
        "anonymousId": "a1",
        "properties": {"revenue": 9.5, "products": products},
    }
    short = {**order, "properties": {"products": products[:MAX_ENTRIES], "deep": {"x": [[1] * MAX_ENTRIES]}}}
    answer = (await site.collect(order, short)).json()
    assert answer["accepted"] == 2
    (warning,) = answer["warnings"]
    assert (warning["index"], warning["code"], warning["field"]) == (0, "list_cut", "events[0].properties.products")
    tracked = [of_type(Track, entry.event).properties for _, entry in site.entries()]
    assert tracked[0] == {"revenue": 9.5, "products": products[:MAX_ENTRIES]}
    assert tracked[1] == short["properties"]


async def test_lists_are_cut_wherever_they_stand_and_sent_along(site: Site) -> None:
    deep = {"type": "identify", "anonymousId": "a1", "traits": {"a": [{"b": [1] * 300}], "c": [[2] * 260] * 2}}
    answer = (await site.collect(deep)).json()
    fields = {warning["field"] for warning in answer["warnings"]}
    assert fields == {"events[0].traits.a[0].b", "events[0].traits.c[0]", "events[0].traits.c[1]"}
    decided = (await site.decide(events=[{**deep, "traits": {"a": [1] * 300}}])).json()
    assert "list_cut" in {warning["code"] for warning in decided["warnings"]}
    for _, entry in site.entries() + site.spool.entries():
        if isinstance(entry.event, Identify):
            assert all(len(each) <= MAX_ENTRIES for each in lists_in(entry.event.traits))


def lists_in(value: Any) -> list[list[Any]]:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, list) else []), *(found for each in inside for found in lists_in(each))]


@pytest.mark.parametrize("part", ["properties", "context"])
async def test_an_event_of_too_many_values_is_rejected_by_name_and_the_others_taken(site: Site, part: str) -> None:
    many = {f"k{n}": [n] * 9 for n in range(MAX_EVENT_VALUES // 10 + 1)}
    few = dict(list(many.items())[:-1])
    events = [{"type": "page", "anonymousId": "a1", part: each} for each in (many, few)]
    answer = (await site.collect(*events)).json()
    assert answer["accepted"] == len(site.log.records) == 1
    (rejected,) = answer["rejected"]
    assert (rejected["index"], rejected["code"], rejected["field"]) == (0, "too_large", f"events[0].{part}")
