"""The variables that rules, features and templates may name, looked up only when named.

One scope serves one request: what was looked up once is kept. Where the visitor's state could not be read (or
may not be used) the variables that come from it do not exist, so that a rule naming them does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personalization.audience import rule_scores, windows
from personalization.audience.device import device_of
from personalization.audience.local_time import local_hour
from personalization.audience.segments import segments_of
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.duration import DAY_MS
from personalization.catalog.rules import Rule, Scope, scope
from personalization.visitor import decay
from personalization.visitor.session import is_running
from personalization.visitor.visitor_state import VisitorState

_MISSING = object()


class VisitorScope:
    """The visitor and the request, as rules see them.

    Parameters
    ----------
    state
        None where it could not be read or may not be used.
    known
        Whether the request names a registered visitor.
    scores
        Gives the variable ``scores`` when it is first named; None: nobody has any.
    """

    __slots__ = ("_found", "_rules", "_scores", "catalog", "context", "known", "now_ms", "state")

    def __init__(
        self,
        state: VisitorState | None,
        context: Mapping[str, Any],
        catalog: CompiledCatalog,
        now_ms: int,
        known: bool,
        scores: Callable[[VisitorScope], dict[str, float]] | None = None,
    ) -> None:
        self.state = state
        self.context = context
        self.catalog = catalog
        self.now_ms = now_ms
        self.known = known
        self._found: dict[str, Any] = {}
        self._rules: Scope | None = None
        self._scores = scores

    def without_state(self) -> VisitorScope:
        """The same request, as if nothing were known of the visitor."""
        return VisitorScope(None, self.context, self.catalog, self.now_ms, self.known)

    def without_scores(self) -> VisitorScope:
        """The same request and visitor, as if nobody had a score."""
        return VisitorScope(self.state, self.context, self.catalog, self.now_ms, self.known)

    def likely(self) -> dict[str, float]:
        """How likely the visitor is to convert, by conversion."""
        return {} if self._scores is None else self._scores(self)

    def holds(self, rule: Rule) -> bool:
        """Whether ``rule`` is true here."""
        return rule.holds_for(self.value, self._scope)

    def _scope(self) -> Scope:
        if self._rules is None:
            self._rules = scope(self.value)
        return self._rules

    def value(self, name: str) -> Any:
        """The variable ``name``, None where there is none."""
        value = self._found.get(name, _MISSING)
        if value is _MISSING:
            of_state = _OF_STATE.get(name)
            if of_state is not None:
                value = None if self.state is None else of_state(self, self.state)
            else:
                of_request = _OF_REQUEST.get(name)
                value = self._window(name) if of_request is None else of_request(self)
            self._found[name] = value
        return value

    def take(self, name: str, value: Any) -> None:
        """Take the value of a variable that somebody has looked up already."""
        self._found[name] = value

    def _window(self, name: str) -> bool | float | None:
        if self.state is None:
            return None
        window = self.catalog.windows.get(name)
        if window is None:
            measure = self.catalog.measures.get(name)
            if measure is None:
                return None
            return windows.measured(measure, self.catalog.series[measure.series.id], self.state, self.now_ms)
        return windows.holds(window, self.catalog.series[window.series.id], self.state, self.now_ms)


def _affinities(scope: VisitorScope, state: VisitorState) -> dict[str, dict[str, float]]:
    specs = scope.catalog.catalog.affinities
    now: dict[str, dict[str, float]] = {}
    for name, affinity in state.affinities.items():
        spec = specs.get(name)
        fade = decay.factor(scope.now_ms - affinity.at_ms, spec.half_life_ms if spec else None)
        now[name] = (
            affinity.weights if fade == 1.0 else {key: weight * fade for key, weight in affinity.weights.items()}
        )
    return now


def counts_by_event(scope: VisitorScope, state: VisitorState) -> dict[str, float]:
    """How often each event happened, faded, by its own name."""
    return decay.all_decayed(state.counts, scope.now_ms, scope.catalog.catalog.count_half_life_ms)


def counts_by_meaning(scope: VisitorScope, state: VisitorState) -> dict[str, float]:
    """The same by meaning; nothing where the catalog does not say what events mean."""
    counts, found = counts_by_event(scope, state), {}
    for meaning in scope.catalog.events.names_by_meaning:
        named = [counts[name] for name in scope.catalog.events.counted_names([meaning]) if name in counts]
        if named:
            found[meaning] = sum(named)
    return found


def _counts(scope: VisitorScope, state: VisitorState) -> dict[str, float]:
    counts = counts_by_event(scope, state)
    for meaning, names in scope.catalog.counted:
        found = [counts[name] for name in names if name in counts]
        if found:
            counts[meaning] = sum(found)
    return counts


def _session(scope: VisitorScope, state: VisitorState) -> dict[str, int | float]:
    session = state.session
    if not is_running(session, scope.now_ms, scope.catalog.catalog.session_gap_ms):
        return {"number": session.number + 1, "n_events": 0, "n_views": 0, "seconds": 0.0}
    return {
        "number": session.number,
        "n_events": session.n_events,
        "n_views": session.n_views,
        "seconds": (scope.now_ms - session.started_ms) / 1000,
    }


def _scores(scope: VisitorScope, state: VisitorState) -> dict[str, float]:
    likely, scores = scope.likely(), scope.catalog.scores
    if not scores.asked:
        return likely
    return {**likely, **rule_scores.values(scores.by_name, scores.asked, state, scope.now_ms, scope.holds, likely)}


def _trends(scope: VisitorScope, state: VisitorState) -> dict[str, str]:
    scores = scope.catalog.scores.by_name
    found = {name: rule_scores.trend_of(scores[name], state, scope.now_ms) for name in scope.catalog.scores.asked}
    return {name: trend for name, trend in found.items() if trend is not None}


def _days_since(scope: VisitorScope, at_ms: int) -> float | None:
    return max(0, scope.now_ms - at_ms) / DAY_MS if at_ms else None


def _hour(scope: VisitorScope) -> int:
    return local_hour(scope.now_ms, scope.context.get("timezone"))[0]


def _weekday(scope: VisitorScope) -> int:
    return local_hour(scope.now_ms, scope.context.get("timezone"))[1]


_OF_REQUEST: dict[str, Callable[[VisitorScope], Any]] = {
    "context": lambda scope: scope.context,
    "device": lambda scope: device_of(scope.context),
    "hour": _hour,
    "known": lambda scope: scope.known,
    "weekday": _weekday,
}

_OF_STATE: dict[str, Callable[[VisitorScope, VisitorState], Any]] = {
    "affinities": _affinities,
    "cart": lambda _, state: state.cart,
    "cart_value": lambda _, state: sum(state.cart.values()),
    "consents": lambda _, state: {name: word.granted for name, word in state.consents.items()},
    "counts": _counts,
    "days_since_first": lambda scope, state: _days_since(scope, state.first_ms),
    "days_since_last": lambda scope, state: _days_since(scope, state.last_ms),
    "event_count": lambda _, state: state.event_count,
    "n_orders": lambda _, state: state.n_orders,
    "revenue": lambda _, state: state.revenue,
    "scores": _scores,
    "segments": lambda scope, _: segments_of(scope.catalog, scope.holds),
    "session": _session,
    "tiers": lambda scope, state: rule_scores.tiers(
        scope.catalog.scores.by_name, scope.catalog.scores.asked, state, scope.value("scores")
    ),
    "traits": lambda _, state: state.traits,
    "trends": _trends,
}
