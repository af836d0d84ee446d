"""Who is in a segment without any request of theirs: for counting and listing."""

from __future__ import annotations

from personalization.audience.variables import VisitorScope
from personalization.catalog import cel_tree
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rules import Rule
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState

OF_REQUESTS = frozenset({"context", "device", "hour", "weekday"})
"""Variables that a visitor's own request tells."""


def why_not_listed(rule: Rule, catalog: CompiledCatalog) -> str | None:
    """Why nobody can say who is in a segment of this rule, in words; None: it can be said.

    >>> from personalization.catalog.catalog import Catalog
    >>> catalog = CompiledCatalog(1, Catalog(placements={}, content={}))
    >>> why_not_listed(Rule("device == 'mobile'", "when", {"device"}), catalog)
    'its rule looks at device, which only a request of the visitor tells'
    """
    of_requests = why_of_requests(rule)
    if of_requests is not None:
        return of_requests
    if rule.mentions("scores"):
        named = cel_tree.keys_of(rule.tree, "scores")
        learned = sorted(catalog.conversions if named is None else named & catalog.conversions.keys())
        if learned:
            return f"its rule looks at the learned score {learned[0]}, which is worked out when it is asked for"
    return None


def why_of_requests(rule: Rule) -> str | None:
    """Why nobody can say without a request of the visitor whether this rule holds; None: it can be said."""
    named = sorted(rule.variables & OF_REQUESTS)
    return f"its rule looks at {', '.join(named)}, which only a request of the visitor tells" if named else None


def is_listed(state: VisitorState) -> bool:
    """Whether something is known of a visitor that may be used: nobody else is counted, or listed."""
    return state.redirect is None and state.first_ms > 0 and may(state.consents, PERSONALISING, default=True)


def segments_inside(
    key: str, state: VisitorState, rules: dict[str, Rule], catalog: CompiledCatalog, now_ms: int
) -> list[str]:
    """Which of some segments a visitor is in at ``now_ms``.

    Parameters
    ----------
    rules
        By segment.
    """
    scope = VisitorScope(state, {}, catalog, max(now_ms, state.now_ms), is_registered(key))
    return [name for name, rule in rules.items() if scope.holds(rule)]
