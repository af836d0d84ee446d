"""The part of the fold that keeps open decisions: made, shown, rewarded, closed."""

from __future__ import annotations

import math
from collections.abc import Callable

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import Activated, ClientEvent, DecisionMade, Merged, Offered, Rewarded
from personalization.folding.attribution import (
    activate,
    activate_call,
    attribute,
    offer_recent,
    take_offered,
    take_recent,
)
from personalization.folding.context import FoldContext
from personalization.folding.ledger import Ledger
from personalization.visitor.folder_state import FolderState
from personalization.visitor.visitor_state import Session


class Decisions:
    """Open decisions, and which of them an event rewards."""

    def observe(self, fold: FoldContext, event: ClientEvent, *, first: bool) -> None:
        """The event may reward a decision in each placement."""
        attribute(Ledger(fold), event)

    def time_out(self, fold: FoldContext) -> None:
        """Close every window that has ended by now."""
        Ledger(fold).time_out()

    def take_over(self, fold: FoldContext, merged: Merged, ours: Session) -> None:
        """Take over open decisions, and try the credits of either side on those of the other."""
        ledger = Ledger(fold)
        arrivals = ledger.take_over(merged.folder)
        offer_recent(ledger, arrivals)
        take_recent(ledger, merged.folder.recent)
        ledger.evict()

    def withdraw(self, fold: FoldContext, allowed: Callable[[str], bool]) -> None:
        """Close what is open without consent."""
        Ledger(fold).withdraw(allowed)

    def is_behind(self, folder: FolderState, catalog: CompiledCatalog) -> bool:
        """It is not: what is open keeps the terms it was opened under."""
        return False

    def due_ms(self, folder: FolderState) -> float:
        """When the first window ends, or a held reward is given up; infinity for never."""
        due_ms = math.inf
        for decision in folder.open:  # asked before and after every entry: plain loops cost half of generators
            if decision.due_ms < due_ms:
                due_ms = decision.due_ms
        for held in folder.held:
            if held.until_ms < due_ms:
                due_ms = held.until_ms
        return due_ms


def forget(fold: FoldContext) -> None:
    """The visitor is to be forgotten: close all that is open, untrained and without what was known of them."""
    Ledger(fold).withdraw_all()


def decide(fold: FoldContext, event: DecisionMade) -> None:
    """A decision was made: open it, and try the credits that overtook it."""
    ledger = Ledger(fold)
    opened = ledger.open(event)
    if opened is not None and fold.folder.recent:
        offer_recent(ledger, [opened])


def reward(fold: FoldContext, event: Rewarded) -> None:
    """The caller says what a decision was worth."""
    Ledger(fold).reward(event.decision_id, event.value, final=event.final, name=event.name)


def show(fold: FoldContext, event: Activated) -> None:
    """A deferred decision was shown, or all of a call."""
    if event.placement:
        activate_call(Ledger(fold), event.decision_id, event.placement)
    else:
        activate(Ledger(fold), event.decision_id)


def offer(fold: FoldContext, event: Offered) -> None:
    """Credits of somebody who named nobody may reward what this visitor was shown."""
    take_offered(Ledger(fold), event.credits)
