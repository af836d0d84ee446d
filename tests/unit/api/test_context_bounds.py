"""What a decision may be told: so much, and no more, however it is written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.context_bounds import MAX_BYTES, MAX_VALUES, bounded_context
from personalization.errors import InvalidInput

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
