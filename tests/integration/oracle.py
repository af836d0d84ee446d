"""The oracle: a plain loop over the pure fold, over the visitor log as it stands, emission off.

No Faust, no Redis states, no batches, no failures: what workers must arrive at whatever happened to them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from redis.asyncio import Redis

from eventlog.port import EventLog
from eventlog.topics import OUTCOMES, VISITOR_LOG
from online_models.conversion.book import ConversionBook
from online_models.placement_model import PlacementModel
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.emission import ADDRESSES, DerivedEntry
from personalization.events.entry import Entry, Position, decode_entry, encode_entry
from personalization.events.example import Example, example_key
from personalization.events.outcome import Outcome
from personalization.events.outcome_records import decode_record_under
from personalization.events.participant import Participant
from personalization.folding.fold import fold
from personalization.folding.folded import Status
from personalization.visitor.folder_state import Conversions, Participations, encode_folder
from personalization.visitor.visitor import Visitor
from state.keys import Keys
from state.visitor_store import pack_visitor
from stream.learning.placement_training import model_spec

Learned: TypeAlias = PlacementModel | ConversionBook
"""What is learned under one key."""


@dataclass(slots=True)
class Oracle:
    """What a faultless fold of the log gives.

    Attributes
    ----------
    derived
        (target key, source, epoch, offset, n) → the entry, encoded.
    outcomes
        Decision id → the outcome, encoded; record id → the example.
    """

    visitors: dict[str, Visitor] = field(default_factory=dict)
    derived: dict[tuple[Any, ...], bytes] = field(default_factory=dict)
    outcomes: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[Status, int] = field(default_factory=dict)
    found_derived: dict[tuple[Any, ...], bytes] = field(default_factory=dict)
    """Derived entries that stand in the log."""
    n_entries: int = 0


def _derived_id(key: str, entry: Entry) -> tuple[Any, ...]:
    assert entry.provenance is not None
    return (key, entry.provenance.source, *entry.provenance.order())


async def fold_all(log: EventLog, catalog: CompiledCatalog) -> Oracle:
    """Fold the whole visitor log, partition by partition, entry by entry."""
    oracle = Oracle()
    identity = await log.identity()
    for partition in range(identity.n_partitions):
        async for read in log.read(VISITOR_LOG, partition, 0):
            entry = decode_entry(read.value)
            oracle.n_entries += 1
            if entry.provenance is not None:
                oracle.found_derived[_derived_id(read.key, entry)] = read.value
            visitor = oracle.visitors.setdefault(read.key, Visitor.new())
            folded = fold(visitor, read.key, Position(identity.epoch, read.offset), entry, catalog)
            oracle.statuses[folded.status] = oracle.statuses.get(folded.status, 0) + 1
            for emission in folded.emissions:
                if isinstance(emission, DerivedEntry):
                    oracle.derived[_derived_id(emission.key, emission.entry)] = encode_entry(emission.entry)
                else:
                    oracle.outcomes[_record_id(emission)] = _encoded(emission)
    return oracle


Told: TypeAlias = Outcome | Example | Participant
"""What a fold tells in ``outcomes``."""


async def all_outcomes(log: EventLog) -> list[Told]:
    """Everything in ``outcomes``, duplicates included, partition by partition, in order."""
    found: list[Told] = []
    for partition in range((await log.identity()).n_partitions):
        async for read in log.read(OUTCOMES, partition, 0):
            record = decode_record_under(read.key, read.value)
            assert isinstance(record, Told)
            found.append(record)
    return found


def _record_id(told: Told) -> str:
    if isinstance(told, Participant):
        return told.participant_id
    return told.choice.decision_id if isinstance(told, Outcome) else told.record_id


def _encoded(told: Told) -> bytes:
    return ADDRESSES[type(told)].encode(told)


async def differences(redis: Redis, keys: Keys, log: EventLog, catalog: CompiledCatalog) -> list[str]:
    """Everything in which Redis and the log differ from the oracle; empty: exact."""
    oracle = await fold_all(log, catalog)
    found: list[str] = []
    stored: dict[str, bytes | str | None] = {}
    async for name in redis.scan_iter(match=f"{keys.namespace}:visitor:*", count=1000):
        key = keys.visitor_key_of(name.decode())
        assert key is not None
        stored[key] = await redis.get(name)
    for key in sorted(stored.keys() | oracle.visitors.keys()):
        visitor = oracle.visitors.get(key)
        if visitor is None:
            found.append(f"{key}: stored, not in the log")
        elif stored.get(key) != pack_visitor(visitor.state):
            found.append(f"{key}: another state")
        elif await redis.get(keys.folder(key)) != encode_folder(visitor.folder):
            found.append(f"{key}: another folder state")
        elif visitor.folder.open or _are_open(visitor.folder.conversions, visitor.folder.participations):
            found.append(f"{key}: still open")
    emitted = {_record_id(told): _encoded(told) for told in await all_outcomes(log)}
    found += _compare("outcome", emitted, oracle.outcomes)
    found += _compare("derived entry", oracle.found_derived, oracle.derived)
    return found


def _are_open(*kept: Conversions | Participations | None) -> bool:
    return any(each is not None and bool(each.open) for each in kept)


def _compare(what: str, emitted: dict[Any, bytes], expected: dict[Any, bytes]) -> list[str]:
    found = [f"{what} {name} is missing" for name in expected.keys() - emitted.keys()]
    found += [f"{what} {name} should not be" for name in emitted.keys() - expected.keys()]
    found += [
        f"{what} {name} differs" for name in emitted.keys() & expected.keys() if emitted[name] != expected[name]
    ]
    return found


async def learn_all(log: EventLog, catalog: CompiledCatalog) -> dict[str, Learned]:
    """Every placement's model and every conversion's book, by their keys, learned by a plain loop."""
    models: dict[str, Learned] = {}
    for told in await all_outcomes(log):
        if isinstance(told, Outcome):
            key = told.choice.model
            spec = catalog.models[key].spec
            if key not in models:
                models[key] = PlacementModel(key, model_spec(spec), spec.reward_range)
            model = models[key]
            assert isinstance(model, PlacementModel)
            model.learn(told)
        elif isinstance(told, Example):
            key = example_key(told.conversion)
            if key not in models:
                models[key] = ConversionBook(told.conversion)
            book = models[key]
            assert isinstance(book, ConversionBook)
            book.learn(told)
    return models
