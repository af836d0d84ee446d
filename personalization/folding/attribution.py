"""Which decision a client event rewards: at most one per placement.

``same_arm``: the decision shown last whose arm the event acted on. ``last_exposed``: the one shown last,
whatever the event acted on. ``any_exposed``: the one shown last among those not rewarded yet, then any, so
that several conversions spread over several exposures.
"""

from __future__ import annotations

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.decision_id import trial_of
from personalization.events.event import ClientEvent, Event, Track
from personalization.events.event_fields import name_in
from personalization.events.event_scope import event_scope
from personalization.folding.closed_memory import is_closed, late_for_credit, late_for_decision
from personalization.folding.ledger import Ledger
from personalization.folding.reward_total import worth_of
from personalization.visitor.folder_state import HOLD_MS, MAX_RECENT_CREDITS, Credit, FolderState, OpenDecision

IMPRESSION_EVENTS = frozenset({"Content Viewed", "Impression"})
"""Track events that activate the deferred decision named by ``properties.decisionId``."""


def attribute(ledger: Ledger, event: ClientEvent) -> None:
    """Credit what the event is worth, placement by placement, and remember what found no decision."""
    decision_id = _named_by(event)
    if decision_id and impression_of(event):
        activate(ledger, decision_id)
    credits = worth(event, ledger.catalog, ledger.now_ms, by_page=ledger.by_page)
    others = _made_under_others(ledger) if ledger.folder.open else {}
    if not credits and not others:
        return  # so of most events
    offers: dict[str, dict[bytes, Credit]] = {credit.placement: {CURRENT: credit} for credit in credits}
    for (placement, rules), version in others.items():
        for credit in worth(event, ledger.catalog_of(version), ledger.now_ms, by_page=ledger.by_page):
            if credit.placement == placement:
                offers.setdefault(placement, {})[rules] = credit
    if offers and decision_id and is_closed(ledger.folder, decision_id):
        ledger.note_late(late_for_decision(ledger.folder, decision_id, ledger.catalog, ledger.now_ms))
        return
    for placement, by_rules in offers.items():
        for credit in by_rules.values():
            credit.decision_id, credit.origin = decision_id, ledger.page_origin
        if not _settle_by_rules(ledger, placement, by_rules) and CURRENT in by_rules:
            if not decision_id:
                _note_late(ledger, by_rules[CURRENT])
            remember(ledger.folder, by_rules[CURRENT])


def impression_of(event: Event) -> str:
    """The decision that an event says was shown; empty: it says nothing of the kind."""
    is_impression = isinstance(event, Track) and event.event in IMPRESSION_EVENTS
    return _named_by(event) if is_impression else ""


def _named_by(event: Event) -> str:
    named = event.properties.get("decisionId") if isinstance(event, Track) else None
    return named if isinstance(named, str) else ""


CURRENT = b""
"""Stands for the reward rules of the catalog the entry is folded under."""


def _made_under_others(ledger: Ledger) -> dict[tuple[str, bytes], int]:
    """(placement, hash of its reward rules) → catalog version, of decisions made under other rules than today's.

    A decision is judged by the rules it was made under, whatever was edited, or taken out and put back, meanwhile.
    """
    found: dict[tuple[str, bytes], int] = {}
    for decision in ledger.folder.open:
        if decision.lineage is not None and (rules := _rules_of(ledger, decision)) != CURRENT:
            found[decision.choice.placement, rules] = decision.choice.catalog_version
    return found


def _rules_of(ledger: Ledger, decision: OpenDecision) -> bytes:
    """The hash of the rules a decision was made under; ``CURRENT`` if they are those in force, or not known."""
    made_under = decision.lineage.rules if decision.lineage is not None else CURRENT
    placement = ledger.catalog.placements.get(decision.choice.placement)
    return CURRENT if placement is not None and placement.rules == made_under else made_under


def _settle_by_rules(ledger: Ledger, placement: str, by_rules: dict[bytes, Credit]) -> bool:
    """Credit one decision of the placement, by its own rules; False if there is none."""
    if by_rules.keys() == {CURRENT}:
        return settle(ledger, by_rules[CURRENT], _under(ledger, CURRENT))
    # By several rules: those of the decision shown last are asked first.
    exposed = sorted(ledger.folder.open, key=lambda each: each.exposed_at_ms or 0, reverse=True)
    order = dict.fromkeys(_rules_of(ledger, each) for each in exposed if each.choice.placement == placement)
    return any(rules in by_rules and settle(ledger, by_rules[rules], _under(ledger, rules)) for rules in order)


def _under(ledger: Ledger, rules: bytes) -> list[OpenDecision]:
    return [decision for decision in ledger.folder.open if _rules_of(ledger, decision) == rules]


def activate(ledger: Ledger, decision_id: str) -> None:
    """A deferred decision was shown; what the visitor did since it was decided may be its reward."""
    decision = ledger.find(decision_id)
    shown_already = decision is not None and decision.exposed_at_ms is not None
    ledger.reward(decision_id, None, final=False)
    if decision is None or shown_already or decision not in ledger.folder.open or not ledger.folder.recent:
        return
    offer_recent(ledger, [decision])


def activate_call(ledger: Ledger, decision_id: str, placement: str) -> None:
    """All that a call deferred was shown; what the visitor did since it was decided may reward it."""
    shown = ledger.activate_call(decision_id, placement)
    if shown and ledger.folder.recent:
        offer_recent(ledger, shown)


def worth(event: ClientEvent, catalog: CompiledCatalog, now_ms: int, *, by_page: bool = False) -> list[Credit]:
    """What the event is worth, at most once per placement: of the rules of one name the first that holds.

    The first rule of all that holds says which arm was acted on.

    Parameters
    ----------
    by_page
        Whether a write key says that it happened.
    """
    rules = catalog.rewards_by_event.get(name_in(event, catalog.events))
    if not rules:
        return []
    scope = event_scope(event, catalog)
    values: dict[str, dict[str, float]] = {}
    arms: dict[str, str | None] = {}
    for rule in rules:
        found = values.setdefault(rule.placement, {})
        if rule.by_server and by_page:
            continue
        if rule.name in found or (rule.when is not None and not rule.when.holds(scope)):
            continue
        value = rule.value if isinstance(rule.value, float) else rule.value.number(scope)
        if value is None:
            continue
        found[rule.name] = value * rule.weight
        if rule.placement not in arms:
            arms[rule.placement] = _acted_on(event) if rule.arm is None else rule.arm.text(scope)
    totals = ((placement, worth_of(found)) for placement, found in values.items())
    return [Credit(placement, total, arms[placement], now_ms) for placement, total in totals if total is not None]


def settle(ledger: Ledger, credit: Credit, candidates: list[OpenDecision]) -> bool:
    """Credit the one decision among ``candidates`` that the credit belongs to; False where there is none."""
    if credit.decision_id:
        trial = trial_of(credit.decision_id)
        named = next((each for each in candidates if trial_of(each.choice.decision_id) == trial), None)
        if named is None or named.choice.placement != credit.placement:
            return named is not None  # worth nothing to the one it names, and never another's
        ledger.credit(named, credit.value, credit.origin)
        return True
    attribution = _attribution(ledger, credit)
    best: tuple[tuple[bool, int, bool, int], OpenDecision] | None = None
    for decision in candidates:
        choice = decision.choice
        if choice.placement != credit.placement or decision.exposed_at_ms is None:
            continue
        if decision.decided_at_ms > credit.at_ms:
            continue
        same_arm = choice.arm == credit.arm
        if attribution == "same_arm" and not same_arm:
            continue
        fresh = attribution == "any_exposed" and decision.n_rewards == 0
        rank = (fresh, decision.exposed_at_ms, same_arm, -choice.slot)
        if best is None or rank >= best[0]:
            best = (rank, decision)
    if best is None:
        return False
    ledger.credit(best[1], credit.value, credit.origin)
    return True


def remember(folder: FolderState, credit: Credit) -> None:
    """Keep a credit that found no decision: its decision may have been overtaken, or come by a merge."""
    alive = [kept for kept in folder.recent if kept.at_ms > credit.at_ms - HOLD_MS]
    folder.recent = [*alive, credit][-MAX_RECENT_CREDITS:]


def offer_recent(ledger: Ledger, arrivals: list[OpenDecision]) -> None:
    """Offer the remembered credits to decisions that came later than they, and were made before them."""
    open_arrivals = [decision for decision in arrivals if decision in ledger.folder.open]
    ledger.folder.recent = [
        credit
        for credit in ledger.folder.recent
        if credit.at_ms > ledger.now_ms - HOLD_MS and not settle(ledger, credit, open_arrivals)
    ]


def take_recent(ledger: Ledger, credits: list[Credit]) -> None:
    """Credits come by a merge that found no decision under the other key: theirs may be open here all along."""
    folder = ledger.folder
    left = [
        credit
        for credit in credits
        if credit.at_ms > ledger.now_ms - HOLD_MS and not settle(ledger, credit, folder.open)
    ]
    folder.recent = [*folder.recent, *left][-MAX_RECENT_CREDITS:]


def names_what(credit: Credit) -> bool:
    """Whether the event said which content or decision it acted on."""
    return bool(credit.arm or credit.decision_id)


def take_offered(ledger: Ledger, credits: list[Credit]) -> None:
    """Credits of who named nobody, on a device this visitor logged in on: for what they acted on alone."""
    folder = ledger.folder
    for credit in credits:
        shown = [each for each in folder.open if credit.decision_id or each.choice.arm == credit.arm]
        settled = credit.at_ms <= ledger.now_ms - HOLD_MS or settle(ledger, credit, shown)
        if not settled and (credit.decision_id or _attribution(ledger, credit) == "same_arm"):
            folder.recent = [*folder.recent, credit][-MAX_RECENT_CREDITS:]  # its decision may be on its way


def _attribution(ledger: Ledger, credit: Credit) -> str:
    placement = ledger.catalog.placements.get(credit.placement)
    return "same_arm" if placement is None else placement.spec.attribution


def _note_late(ledger: Ledger, credit: Credit) -> None:
    """Tell of a credit that would have been for a decision closed by now: it is never trained."""
    same_arm = _attribution(ledger, credit) == "same_arm"
    late = late_for_credit(ledger.folder, credit, ledger.catalog, ledger.now_ms, same_arm=same_arm)
    if late is not None:
        ledger.note_late(late)


def _acted_on(event: ClientEvent) -> str | None:
    properties = getattr(event, "properties", {})
    content = properties.get("contentId", properties.get("content_id"))
    return content if isinstance(content, str) else None
