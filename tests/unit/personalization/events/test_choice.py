"""A choice is one value from the decider to the model: what was decided is logged, kept open and learned."""

from __future__ import annotations

from personalization.events.decision_record import decode_record, encode_record
from personalization.events.entry import Entry, Position, decode_entry, encode_entry
from personalization.events.event import DecisionMade, TimedOut
from personalization.events.outcome import Outcome, decode_outcome, encode_outcome
from personalization.folding.fold import fold
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import decode_folder, encode_folder
from personalization.visitor.visitor import Visitor
from tests.of_type import of_type
from tests.unit.personalization.scenes import Likes, ask, catalog, run


def test_the_outcome_has_the_very_choice_that_was_recorded() -> None:
    shop = catalog()
    answer = run(shop, models={"hero": Likes(version=9, green=5.0)})
    (entry,), (record,), (decision,) = answer.entries, answer.records, answer.decisions
    choice = decode_record(encode_record(record)).choice
    assert choice == Choice(
        decision.decision_id, "hero", 0, decision.content_id, record.weights[record.arms.index(choice.arm)],
        "default", 9, 3, False,
    )  # fmt: skip
    assert choice.weight == decision.probability * 2**32
    logged = decode_entry(encode_entry(entry))
    assert of_type(DecisionMade, logged.event).choice == choice
    visitor = Visitor.new()
    fold(visitor, answer.key, Position(1, 0), logged, shop.catalog)
    visitor.folder = decode_folder(encode_folder(visitor.folder))
    (opened,) = visitor.folder.open
    assert opened.choice == choice
    closing = Entry(
        received_at_ms=opened.due_ms,
        occurred_at_ms=opened.due_ms,
        catalog_version=3,
        event=TimedOut(due_ms=opened.due_ms),
    )
    (outcome,) = fold(visitor, answer.key, Position(1, 1), closing, shop.catalog).emissions
    assert decode_outcome(encode_outcome(of_type(Outcome, outcome))).choice == choice


def test_the_side_of_a_visitor_whose_state_could_not_be_read_is_not_known() -> None:
    receiptless = run(catalog(), ask(), states=None)
    assert receiptless.records == []
    known = run(catalog(), ask(), states=())
    assert known.records[0].choice.holdout is False
