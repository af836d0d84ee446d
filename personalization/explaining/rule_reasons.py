"""Why a rule holds for a visitor or does not: what it looked at, and which of its conditions failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from personalization.audience.variables import VisitorScope
from personalization.catalog.cel_tree import Node
from personalization.catalog.rules import Rule
from personalization.catalog.rules import scope as rule_scope
from personalization.explaining.rule_parts import Looked, failing, look, parts_of
from personalization.explaining.rule_values import looks_of, see


@dataclass(frozen=True, slots=True)
class RuleReason:
    """What a rule says of a visitor, and why.

    Attributes
    ----------
    text
        The rule as the catalog has it.
    values
        What it looked at, by name as it is written there; None: that is missing.
    failing
        Each of the smallest conditions for which it does not hold, in words; empty if it holds.
    """

    holds: bool
    text: str
    values: dict[str, Any]
    failing: list[str]


def explain_rule(rule: Rule, scope: VisitorScope) -> RuleReason:
    """Why ``rule`` holds in ``scope``, or does not.

    The rule itself counts nothing of it, whatever goes wrong. It costs many times what evaluating the rule does.

    >>> from personalization.catalog.catalog import Catalog
    >>> from personalization.catalog.compiled_catalog import CompiledCatalog
    >>> from personalization.visitor.visitor_state import VisitorState
    >>> catalog = CompiledCatalog(1, Catalog(placements={}, content={}))
    >>> who = VisitorScope(VisitorState(traits={"plan": "free"}), {}, catalog, 0, False)
    >>> explain_rule(Rule("known || traits.plan == 'pro'", "when", {"known", "traits"}), who).failing
    ['known does not hold: known is false', "traits.plan == 'pro' does not hold: traits.plan is 'free'"]
    """
    looked = look(parts_of(rule), rule_scope(scope.value))
    values = {}
    for each in looks_of(looked.part.node, rule.variables):
        seen = see(each, scope)
        values[seen.name] = seen.value
    wrong = [_sentence(part, wanted, rule, scope) for part, wanted in failing(looked)]
    return RuleReason(looked.truth is True, rule.source, values, wrong)


def _sentence(looked: Looked, wanted: bool, rule: Rule, scope: VisitorScope) -> str:
    part = looked.part
    if looked.truth is None and looked.fault:
        return f"{part.text} cannot be worked out: {looked.fault}"
    says = "holds, and must not" if looked.truth and not wanted else "does not hold"
    if looked.truth is None and not wanted:
        says = "cannot be told"
    seen = _seen(part.node, rule, scope)
    return f"{part.text} {says}: {seen}" if seen else f"{part.text} {says}"


def _seen(node: Node, rule: Rule, scope: VisitorScope) -> str:
    return ", ".join(see(each, scope).words for each in looks_of(node, rule.variables))
