"""What the services of a process work with: everything a process is composed of, behind ports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from api.access.caller import Caller, KeysInForce
from api.access.networks import Network
from api.access.proof import Identities
from api.limits.slices import Turnstile
from api.process.catalog import CatalogInForce
from api.process.metrics import ApiMetrics
from api.process.models import ModelsInMemory
from api.process.randomness import Randomness
from api.process.readiness import Report
from api.reading.ids import DegenerateIds
from api.services.auditing import Audit, NoAudit, recorded
from api.services.consent_gate import ConsentGate
from api.services.intake import Intake
from api.services.item_features import ItemOf, no_item
from api.services.judging import Judging
from api.services.linker import Linker
from api.services.proven_pairs import ProvenPairs
from api.services.read_models import NoReadModels, ReadModels
from api.services.receipts import ReceiptKeys
from api.services.records import NoRecords, Records
from api.services.refused_acts import RefusedActs
from api.services.refused_events import RefusedEvents
from api.services.request_lines import RequestLines
from api.services.rights import Kind
from api.services.segments import NoWalk, SegmentWalk
from api.services.senders import Senders
from eventlog.port import LogPosition, Record
from online_models.conversion.checkpoint import Served
from online_models.imitation import Imitation
from online_models.insight import ModelInsight
from online_models.placement_model import ArmReport
from personalization.audit.record import VISITOR_PURPOSE
from personalization.catalog.item import Item
from personalization.deciding.decision_keys import DecisionKeys
from personalization.errors import Unavailable
from personalization.events.decision_id import NONCE_BYTES
from personalization.key_derivation import Secrets
from personalization.visitor.visitor_state import VisitorState
from state.erasure_store import Erasure
from state.visitor_store import Stored
from tracing.tracer import Tracer


class Visitors(Protocol):
    """The read of visitors."""

    async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]:
        """The states under ``keys``, redirects followed; raises ``Unavailable``."""
        ...

    async def read_each(
        self, visitors: Sequence[tuple[Sequence[str], str | None]]
    ) -> list[list[VisitorState] | Unavailable]:
        """What ``read`` gives of each of several visitors, or raises of it."""
        ...

    async def read_canonical(self, key: str) -> tuple[str, list[VisitorState]]:
        """Where a key's redirects end, to whomever they lead, and what is there."""
        ...


class Items(Protocol):
    """Where items are kept."""

    async def put(self, items: Mapping[str, Item], who: str = "") -> dict[str, int | None]:
        """Write items over whatever stands under their ids; None where there is no room."""
        ...

    async def change(self, item_id: str, change: Callable[[Item], Item], who: str = "") -> int | None:
        """Put what ``change`` makes of an item in its place; None where there is no such item."""
        ...

    async def remove(self, item_id: str, who: str = "") -> int | None:
        """Take an item away; None where there is none."""
        ...

    async def get(self, item_id: str) -> Item | None:
        """One item."""
        ...


class Rights(Protocol):
    """Exports and erases persons."""

    async def person(self, visitor_id: str, kind: Kind | None) -> dict[str, Stored]:
        """What is stored under each key of a person."""
        ...

    async def erase(self, person: dict[str, Stored], wait_s: float) -> Erasure:
        """Have a person erased."""
        ...

    async def erasure(self, erasure_id: str) -> Erasure | None:
        """What is known of an erasure."""
        ...

    async def export(self, person: dict[str, Stored]) -> dict[str, Any]:
        """All that is kept of a person."""
        ...


class Log(Protocol):
    """The log, for what has to be acknowledged."""

    async def append(self, records: Sequence[Record]) -> list[LogPosition]:
        """Append, and wait for the acknowledgement."""
        ...


class Sink(Protocol):
    """The spool, for what must not wait."""

    def put(self, record: Record) -> bool:
        """Queue a record; False where it had to be dropped."""
        ...

    def hurry(self) -> bool:
        """Let what lingers go now; False where nothing does."""
        ...


@dataclass(frozen=True, slots=True)
class ModelReport:
    """The books of a placement's learner, and where in ``outcomes`` they end: epoch, partition, offset."""

    arms: list[ArmReport]
    trained_through: dict[str, int]
    imitation: Imitation = field(default_factory=Imitation)


async def no_insight(_: str) -> ModelInsight | None:
    """Nothing was learned."""
    return None


@dataclass(slots=True)
class Services:
    """One process's parts.

    Attributes
    ----------
    clock_ms
        Wall clock, milliseconds since 1970; never far ahead of the log's.
    secrets
        Of the installation; whoever signs or seals has the key of its own purpose.
    decision_keys
        What decisions are made under; raises ``Unavailable`` while there is no catalog.
    rights
        The rights of the person: export and erasure.
    trusted_proxies
        Networks of proxies, whose word on whom they speak for is taken.
    open_decisions
        How many decisions of a visitor (by key) are open; raises ``Unavailable``.
    conversions
        The conversion models in memory, by conversion; one that has learned nothing yet is absent.
    learned
        What the learner's last durable checkpoint says of a placement; raises ``Unavailable``.
    insight
        What a placement's model of that checkpoint goes by; raises as ``learned`` does.
    records
        Finds what was recorded of decisions.
    read_models
        What the projector has added up.
    segments
        The sizes of segments, and the walk over visitors that lists who is in one.
    audit
        Where acts and reads are recorded; without one none is done.
    turnstile
        Where long work waits for its turn.
    judging
        Judges experiments.
    readiness
        How the process is: what it lacks, and what is not well.
    tracer
        Records traces; None where nobody asks for them.
    request_lines
        Says which requests have a line in the log.
    """

    secrets: Secrets
    catalog: CatalogInForce
    keys: KeysInForce
    models: ModelsInMemory
    visitors: Visitors
    log: Log
    spool: Sink
    metrics: ApiMetrics
    clock_ms: Callable[[], int]
    open_decisions: Callable[[str], Awaitable[int]]
    learned: Callable[[str], Awaitable[ModelReport | None]]
    decision_keys: Callable[[], DecisionKeys]
    rights: Rights
    trusted_proxies: tuple[Network, ...] = ()
    items: Items | None = None
    item_of: ItemOf = no_item
    audit: Audit = field(default_factory=NoAudit)
    segments: SegmentWalk = field(default_factory=NoWalk)
    records: Records = field(default_factory=NoRecords)
    read_models: ReadModels = field(default_factory=NoReadModels)
    insight: Callable[[str], Awaitable[ModelInsight | None]] = no_insight
    conversions: Mapping[str, Served] = field(default_factory=dict)
    readiness: Callable[[], Report] = Report
    tracer: Tracer | None = None
    request_lines: RequestLines = field(default_factory=RequestLines)
    deadline_ms: int = 50
    redis_timeout_ms: int = 20
    max_body_bytes: int = 4_194_304
    linker: Linker = field(default_factory=Linker)
    nonce: Callable[[], bytes] = field(default_factory=lambda: Randomness(NONCE_BYTES))
    turnstile: Turnstile = field(default_factory=Turnstile)
    judging: Judging = field(default_factory=Judging)
    senders: Senders = field(init=False)
    identities: Identities = field(init=False)
    consent: ConsentGate = field(init=False)
    proven_pairs: ProvenPairs = field(init=False)
    receipts: ReceiptKeys = field(init=False)
    degenerate_ids: DegenerateIds = field(init=False)
    visitor_mark_key: bytes = field(init=False)
    refused_acts: RefusedActs = field(init=False)
    refused_events: RefusedEvents = field(init=False)

    def __post_init__(self) -> None:
        self.senders = Senders(self.secrets.key("origins"))
        self.identities = Identities(self.secrets)
        self.consent = ConsentGate(self.visitors)
        self.proven_pairs = ProvenPairs(self.visitors)
        self.receipts = ReceiptKeys(self.secrets.key("receipts"))
        self.degenerate_ids = DegenerateIds(self.metrics.degenerate_ids)
        self.visitor_mark_key = self.secrets.key(VISITOR_PURPOSE)
        self.refused_acts = RefusedActs(partial(recorded, self.audit))
        self.refused_events = RefusedEvents(self.metrics.refused_events, self.spool.put)

    async def append(self, records: Sequence[Record]) -> None:
        """Append what has to be acknowledged, behind what was decided before it; raises what the log does."""
        if self.spool.hurry():
            await asyncio.sleep(0)  # the spool's turn
        await self.log.append(records)

    def intake(self, caller: Caller, address: str, *, gpc: bool) -> Intake:
        """What stamps all that a request which has just come from ``address`` brings; ``gpc``: ``Sec-GPC: 1``."""
        catalog = self.catalog.current.catalog
        now_ms = self.clock_ms()
        return Intake(
            caller,
            address,
            gpc,
            self.senders,
            self.degenerate_ids,
            self.identities,
            now_ms,
            catalog,
            self.item_of,
        )
