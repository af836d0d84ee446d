"""A rule that is given what it names alone gives what it gives of everything, mistakes included."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.rules import VISITOR_VARIABLES, Rule, scope
from personalization.visitor.visitor_state import VisitorState

NAMES = ("a", "b", "a.b")
PATHS = st.builds(
    lambda variable, steps: variable + "".join(steps),
    st.sampled_from(["context", "traits"]),
    st.lists(
        st.sampled_from([".a", ".b", "['a']", '["b"]', "['a.b']", "['\\x61']", "[0]", "[traits.a]"]), max_size=3
    ),
)


def _wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{} == {}".format, inner, inner),
        st.builds("({} ? {} : {})".format, inner, inner, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} || !{})".format, inner, inner),
        st.builds("'{}' in {}".format, st.sampled_from(NAMES), inner),
        st.builds("{} in {}".format, inner, inner),
        st.builds("size({})".format, inner),
        st.builds("type({}) == map".format, inner),
        st.builds("string({})".format, inner),
        st.builds("{}.startsWith('a')".format, inner),
        st.builds("{} > 1".format, inner),
        st.builds("({} + {})".format, inner, st.sampled_from(["1", "'a'"])),
        st.builds("{} * 2".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'a': {}}}.a".format, inner),
        # CEL goes through maps in another order each time: macros are for lists.
        st.builds("(type({0}) == list && {0}.exists(x, x == {1}))".format, inner, inner),
        st.builds("(type({0}) == list && {0}.exists(context, context.a == {1}))".format, inner, inner),
        st.builds("(type({0}) == list && {0}.all(x, {1} == x))".format, inner, inner),
        st.builds("(type({0}) == list ? {0}.map(x, x.a) : [])".format, inner),
    )


SOURCES = st.recursive(
    PATHS
    | st.builds("has({})".format, st.sampled_from(["context.a", "context.a.b", "traits.b.a.b", "traits.a"]))
    | st.sampled_from(["1", "'a'", "true", "{}", "[]"]),
    _wider,
    max_leaves=5,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.5, "a", "b", ""]),
    lambda inner: (
        st.lists(inner | st.sampled_from(NAMES), max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner)
    ),
    max_leaves=8,
)
MAPS = st.dictionaries(st.sampled_from(NAMES), VALUES)


def given_all(source: str) -> Rule:
    rule = Rule(source, "when", VISITOR_VARIABLES)
    rule._reads = {}
    return rule


def all_of(rule: Rule, known: dict[str, Any]) -> tuple[Any, ...]:
    where = scope(known.get)
    value = json.dumps(rule.value(where), sort_keys=True, default=repr)
    return value, rule.holds(where), rule.number(where), rule.text(where), rule.n_errors, rule.last_error


@given(SOURCES, MAPS, MAPS)
@example("'x' in context.a", {"a": ["x"]}, {})
@example("context.a.b == 1", {"a": [{"b": 1}]}, {})
@example("'b' in context.a || context.a.b == 1", {"a": {"b": None}}, {})
@example("context.a == context.a.b", {"a": {"b": {"c": 1}}}, {})
@example("context == {} || has(context.a)", {"b": 1}, {})
def test_what_is_named_is_enough(source: str, context: dict[str, Any], traits: dict[str, Any]) -> None:
    known = {"context": context, "traits": traits}
    try:
        rule = Rule(source, "when", VISITOR_VARIABLES)
    except ValueError:  # CEL refuses some of what is put together
        return
    assert all_of(rule, known) == all_of(given_all(source), known)


def test_rules_within_rules_see_their_own() -> None:
    catalog = Catalog(
        placements={"hero": Placement(content=("red",), default="red")},
        content={"red": Content(body={})},
        segments={
            "young": "traits.age < 30 && context.n * 2 > 3",
            "free": "traits.plan == 'free' && has(context.n)",
        },
    )
    state = VisitorState()
    state.traits.update({"age": 20, "plan": "free", "town": "Bern"})
    rule = Rule("context.m == 1 && size(segments) == 2 && traits.town.endsWith('n')", "when", VISITOR_VARIABLES)
    assert VisitorScope(state, {"n": 2, "m": 1}, compile_catalog(catalog, 1), 0, True).holds(rule)


@pytest.mark.parametrize(
    "source", ["context.page.path.startsWith('/x')", "has(context.page.path) && context.n > 1"]
)
def test_what_no_rule_names_costs_nothing(source: str) -> None:
    rule = Rule(source, "when", VISITOR_VARIABLES)
    page = {"path": "/x"}
    small, large = {"page": page, "n": 2}, {"page": page, "n": 2, "more": [{"a": n} for n in range(100_000)]}

    def spent_s(context: dict[str, Any]) -> float:
        where = scope({"context": context}.get)
        began = time.process_time()
        for _ in range(50):
            assert rule.holds(where)
        return time.process_time() - began

    assert min(spent_s(large) for _ in range(3)) < 10 * min(spent_s(small) for _ in range(3)) + 0.01
