"""One request under decision: the visitor as of this very answer, the consents, what is taken already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from personalization.audience.consent import record, words_of
from personalization.audience.conversion_scores import Scorers, Scores
from personalization.audience.crawlers import is_crawler
from personalization.audience.merge import merge_states
from personalization.audience.profile import apply_event
from personalization.audience.variables import VisitorScope
from personalization.deciding.consents import Consents
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Answer
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.draw import repeatable_nonce
from personalization.deciding.request import DecideRequest, unit_of
from personalization.deciding.reward_scorer import RewardScorer
from personalization.visitor.purposes import PERSONALISING, Words, may
from personalization.visitor.purposes import merge as merge_words
from personalization.visitor.session import session_at
from personalization.visitor.visitor_state import VisitorState

if TYPE_CHECKING:
    from personalization.deciding.watching import Watch

NonceSource = Callable[[], bytes]
"""Gives ``decision_id.NONCE_BYTES`` that were never given before."""

Assume: TypeAlias = Callable[[VisitorScope], object]
"""Has a scope take other values than are known: what is to be so in a preview."""


class Call:
    """One request while it is decided: what it carries, what is known of the visitor, what is answered so far.

    Attributes
    ----------
    taken
        The contents that the answer shows, in order.
    is_crawler
        It comes from a program that reads pages.
    watch
        Is told of each slot when it is filled; None: nobody asks.
    assume
        Changes what rules and features look at; None: they look at what is known.
    counted
        How often it shows what caps count together, by its name (``catalog.caps``).
    """

    def __init__(
        self,
        request: DecideRequest,
        states: Sequence[VisitorState] | None,
        catalog: PreparedCatalog,
        models: Mapping[str, RewardScorer],
        now_ms: int,
        keys: DecisionKeys,
        nonce: NonceSource,
        out_of_time: Callable[[], bool],
        scorers: Scorers,
        watch: Watch | None = None,
        assume: Assume | None = None,
    ) -> None:
        self.request = request
        self.catalog = catalog
        self.models = models
        self.keys = keys
        self.nonce = nonce
        self.out_of_time = out_of_time
        self.watch = watch
        self.assume = assume
        self.now_ms = now_ms
        self.key = request.key
        self.is_crawler = is_crawler(request.context)
        self.answer = Answer(self.key, [], [], [])
        self.taken: list[str] = []
        self.counted: dict[str, int] = {}
        says_words = (request.refused or "consent" in request.context) and not request.is_nobodys
        held = self._held(states) if says_words else []
        if states is None:
            state, clock_ms, unit = None, now_ms, b""
            self.session, self.session_start_ms = 0, 0
        else:
            state = self._state_after_request(states)
            clock_ms, unit = max(now_ms, state.now_ms), state.unit
            gap_ms = catalog.catalog.catalog.session_gap_ms
            self.session, self.session_start_ms = session_at(state.session, clock_ms, gap_ms)
            self.answer.session = self.session
        self.unit = unit or unit_of(request)
        known = request.user_id is not None
        scores = Scores(scorers, self.answer.faults) if catalog.catalog.scored else None
        self.scope = VisitorScope(state, request.context, catalog.catalog, clock_ms, known, scores)
        if assume is not None:
            assume(self.scope)
        self.consents = Consents(request, state)
        if says_words:
            self.answer.words = self.consents.news(held, catalog.catalog.named.purposes, states)
        if request.events or request.names_pair:
            # Where the state cannot be read the events go the way of any others: only a refusal stops them.
            refused = self.consents.refused(PERSONALISING)
            self.answer.events_kept = not (refused if states is None else not self.consents.granted(PERSONALISING))

    def scope_without(self, missing: str | None) -> VisitorScope:
        """What may be looked at where the purpose ``missing`` lacks consent; None: all of it."""
        if missing is None or self.scope.state is None:
            return self.scope
        scope = self.scope.without_state()
        if self.assume is not None:
            self.assume(scope)
        return scope

    def nonce_of(self, placement: str, slot: str) -> bytes:
        """The nonce of a slot, by its number or name: of a request that may be sent again, the same each time."""
        request = self.request
        if not request.repeatable:
            return self.nonce()
        return repeatable_nonce(
            self.keys, key=self.key, request_id=request.request_id, placement=placement, slot=slot
        )

    def _held(self, states: Sequence[VisitorState] | None) -> list[Words]:
        """The words under each key, as they are before the states are merged."""
        lately = self.request.heard if states is None else self.request.said_lately
        held = [dict(state.consents) for state in states or ()] or ([{}] if lately else [])
        for words in held:
            merge_words(words, lately, self.catalog.catalog.named.purposes)
        return held

    def _state_after_request(self, states: Sequence[VisitorState]) -> VisitorState:
        """All ids merged in memory, events sent along applied."""
        state = states[0] if states else VisitorState()
        catalog = self.catalog.catalog
        for other in states[1:]:
            merge_states(state, other, catalog)
        self.answer.state_revision = state.revision
        if states:
            self.answer.state_age_ms = max(0, self.now_ms - max(one.now_ms for one in states))
        if self.request.said_lately:
            merge_words(state.consents, self.request.said_lately, catalog.named.purposes)
        clock_ms = max(self.now_ms, state.now_ms)
        for sent in self.request.events:
            record(state.consents, words_of(sent.event), clock_ms, False, catalog.named.purposes)
            if not may(state.consents, PERSONALISING, default=self.request.consent_default):
                continue
            apply_event(state, sent.event, sent.occurred_at_ms, clock_ms, catalog)
        return state
