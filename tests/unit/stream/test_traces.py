"""What an entry's trace becomes: a span of its fold, and the outcome's way to the model under the same trace."""

from __future__ import annotations

from typing import cast

from msgspec import structs

from eventlog.port import EventLog, Record
from eventlog.topics import OUTCOMES, VISITOR_LOG
from online_models.placement_model import PlacementModel
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Event, TimedOut
from personalization.events.outcome import decode_outcome, encode_outcome
from state.model_store import ModelPublisher
from stream.folding.batch_fold import Message
from stream.folding.folder import Folder
from stream.folding.traces import MAX_ENTRIES
from stream.learning.placement_training import PlacementTraining
from tests.integration.workload import WINDOW_MS
from tests.unit.stream.folding.test_folder import CATALOG, NOW_MS, Bench, decision, track
from tests.unit.stream.learning.test_learner import MemoryPublisher
from tracing.sampler import Sampler
from tracing.span import Span
from tracing.trace_context import carried
from tracing.tracer import Tracer

TRACE, SPAN = bytes(15) + b"t", bytes(7) + b"s"


class TracedBench(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.tracer = Tracer(Sampler(0, follows_caller=True), self.spans.append)
        self.folder = Folder(
            *(self.visitors, self.timers, cast(EventLog, self.log), CATALOG, 1, self.metrics), tracer=self.tracer
        )

    def traced(self, key: str, event: Event, at_ms: int = NOW_MS) -> Message:
        entry = Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=1, event=event)
        entry.trace = carried(TRACE, SPAN)
        self.offset += 1
        self.log.of(VISITOR_LOG)[0].append(Record(VISITOR_LOG, key, encode_entry(entry)))
        return Message(0, self.offset, key.encode(), encode_entry(entry))


async def test_a_fold_is_a_child_of_its_request_and_linked_to_its_batch() -> None:
    bench = TracedBench()
    await bench.folder.process([bench.message("a:2", track(1)), bench.traced("a:1", track(2))])
    batch, fold, *parts = bench.spans
    assert (fold.name, fold.trace_id, fold.parent_id) == ("fold", TRACE, SPAN)
    assert (fold.attributes["nextbest.event"], fold.attributes["nextbest.offset"]) == ("Track", 1)
    assert [(link.trace_id, link.span_id) for link in fold.links] == [(batch.trace_id, batch.span_id)]
    assert batch.attributes == {"nextbest.entries": 2}
    assert batch.trace_id != TRACE
    assert [part.name for part in parts] == ["read", "fold and append", "write"]
    assert {(part.trace_id, part.parent_id) for part in parts} == {(TRACE, fold.span_id)}
    assert fold.began_ns == parts[0].began_ns
    assert parts[-1].ended_ns <= fold.ended_ns


async def test_a_batch_without_a_trace_has_no_span() -> None:
    bench = TracedBench()
    await bench.folder.process([bench.message("a:1", track(1)), bench.message("a:1", decision(1))])
    assert not bench.spans


async def test_one_request_fills_no_queue_with_its_spans_and_its_decision_has_one() -> None:
    bench = TracedBench()
    events = [bench.traced("a:1", track(n)) for n in range(200)]
    await bench.folder.process([*events, bench.traced("a:1", decision(1))])
    folds = [span for span in bench.spans if span.name == "fold"]
    assert len(folds) == MAX_ENTRIES
    assert folds[0].attributes["nextbest.event"] == "DecisionMade"
    (batch,) = [span for span in bench.spans if span.name == "fold batch"]
    assert batch.attributes == {"nextbest.entries": 201, "nextbest.entries_without_spans": 201 - MAX_ENTRIES}


async def test_an_entry_that_is_folded_twice_has_the_same_span() -> None:
    bench = TracedBench()
    batch = [bench.traced("a:1", track(1))]
    await bench.folder.process(batch)
    await bench.folder.process(batch)
    first, again = [span.span_id for span in bench.spans if span.name == "fold"]
    assert first == again


async def test_the_outcome_goes_on_in_the_trace_of_its_decision_up_to_the_model() -> None:
    bench = TracedBench()
    made = structs.replace(decision(1), trains=True, exposed=True)
    await bench.folder.process([bench.traced("a:1", made)])
    bench.spans.clear()
    due_ms = NOW_MS + WINDOW_MS
    await bench.folder.process([bench.message("a:1", TimedOut(due_ms=due_ms), due_ms)])
    (close,) = bench.spans  # the time-out itself carries no trace
    assert (close.name, close.trace_id, close.parent_id) == ("close", TRACE, SPAN)
    assert close.began_ns == NOW_MS * 1_000_000
    assert close.attributes["nextbest.decision_id"] == "d1"
    (record,) = bench.log.all(OUTCOMES)
    assert decode_outcome(record.value).trace == carried(TRACE, SPAN)
    training = PlacementTraining(cast(ModelPublisher, MemoryPublisher()), b"secret", tracer=bench.tracer)
    bench.spans.clear()
    await training.learn(PlacementModel("hero"), record.value)
    (learn,) = bench.spans
    assert (learn.name, learn.trace_id, learn.parent_id) == ("learn", TRACE, close.span_id)
    assert learn.attributes["nextbest.result"] == "learned"


async def test_what_has_no_trace_is_stored_as_it_was_before_there_were_any() -> None:
    """Entries and outcomes are not a byte longer."""
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1))])
    assert b"trace" not in bench.log.of(VISITOR_LOG)[0][0].value
    due_ms = NOW_MS + WINDOW_MS
    await bench.folder.process([bench.message("a:1", TimedOut(due_ms=due_ms), due_ms)])
    (record,) = bench.log.all(OUTCOMES)
    assert b"trace" not in record.value
    assert encode_outcome(decode_outcome(record.value)) == record.value
