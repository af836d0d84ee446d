"""An API in this process: real endpoints over a log, a Redis and models written by hand."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from api.access.caller import KeysInForce
from api.access.networks import Network
from api.app import Application
from api.process.catalog import PreparedInForce
from api.process.metrics import ApiMetrics
from api.process.models import ModelsInMemory
from api.process.readiness import Report
from api.services.ports import ModelReport, Services
from api.services.records import NoRecords, Records
from api.services.request_lines import RequestLines
from api.services.rights import Kind
from eventlog.port import LogPosition, Record
from eventlog.topics import VISITOR_LOG
from online_models.conversion.checkpoint import Served
from online_models.insight import ModelInsight
from personalization.audit.chain import AuditKeys, Head, SignedRecord
from personalization.audit.record import Act, Trail
from personalization.catalog.catalog import Catalog, Content, Placement, Source
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.item import Item
from personalization.deciding.decision_keys import DecisionKeys
from personalization.errors import Unavailable
from personalization.evaluation.strata import Stratum
from personalization.evaluation.trial_sums import TrialSums
from personalization.events.decision_id import mint
from personalization.events.decision_record import decode_record
from personalization.events.entry import Entry, decode_entry
from personalization.key_derivation import Secrets
from personalization.projecting.arms import ArmOfSide, ArmSums
from personalization.visitor.visitor_state import VisitorState
from state.erasure_store import Erasure
from state.model_store import Followed
from state.visitor_store import Stored
from tracing.tracer import Tracer

SECRETS = Secrets(b"test-secret")
ID_KEY = SECRETS.key("decision-ids")
NOW = 1_700_000_000_000
WRITE = {"Authorization": "Bearer pk_dev"}
SERVER = {"X-API-Key": "sk_dev"}


def shop() -> Catalog:
    return Catalog(
        placements={
            "home.hero": Placement(content=("shoes", "tents", "bags"), default="shoes"),
            "home.list": Placement(content=("shoes", "tents", "bags", "hello"), default="shoes", slots=2),
        },
        content={
            "shoes": Content(type="html", body="<b>Shoes</b>"),
            "tents": Content(body={"title": "Tents"}),
            "bags": Content(type="redirect", body="https://shop.example/bags"),
            "hello": Content(type="html", body="Hello {{traits.first_name|there}}"),
        },
        segments={"buyers": "n_orders > 0"},
        sources={
            "web": Source(write_keys=("pk_dev",), server_keys=("sk_dev",), consent_default="granted"),
            "strict": Source(write_keys=("pk_strict",)),
        },
    )


@dataclass
class FakeLog:
    """Keeps what is appended; fails when told to."""

    records: list[Record] = field(default_factory=list)
    error: Exception | None = None
    n_appends: int = 0

    async def append(self, records: Sequence[Record]) -> list[LogPosition]:
        if self.error is not None:
            raise self.error
        self.n_appends += 1
        self.records += records
        return [LogPosition(record.topic, 0, offset) for offset, record in enumerate(records)]


@dataclass
class FakeSpool:
    records: list[Record] = field(default_factory=list)
    full: bool = False
    error: Exception | None = None

    def hurry(self) -> bool:
        return False

    def put(self, record: Record) -> bool:
        if self.error is not None:
            raise self.error
        if not self.full:
            self.records.append(record)
        return not self.full

    def entries(self) -> list[tuple[str, Entry]]:
        return [(r.key, decode_entry(r.value)) for r in self.records if r.topic == VISITOR_LOG]

    def decisions(self) -> list[Any]:
        return [decode_record(r.value) for r in self.records if r.topic != VISITOR_LOG]


@dataclass
class FakeVisitors:
    states: dict[str, VisitorState] = field(default_factory=dict)
    away: bool = False
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def read(self, keys: Sequence[str], registered: str | None) -> list[VisitorState]:
        self.asked.append(tuple(keys))
        if self.away:
            raise Unavailable("away on purpose")
        return [
            copy.deepcopy(self.states[key]) for key in keys if key in self.states
        ]  # the decider changes its own

    async def read_each(
        self, visitors: Sequence[tuple[Sequence[str], str | None]]
    ) -> list[list[VisitorState] | Unavailable]:
        if self.away:
            return [Unavailable("away on purpose") for _ in visitors]
        return [await self.read(*visitor) for visitor in visitors]

    async def read_canonical(self, key: str) -> tuple[str, list[VisitorState]]:
        if self.away:
            raise Unavailable("away on purpose")
        return key, [self.states[key]] if key in self.states else []


@dataclass
class FakeRights:
    """Knows whom it is told of; over real servers: ``tests/integration/test_erasure.py``."""

    person_kept: dict[str, Stored] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)

    async def person(self, visitor_id: str, kind: Kind | None) -> dict[str, Stored]:
        self.asked_for.append(visitor_id)
        return self.person_kept

    async def erase(self, person: dict[str, Stored], wait_s: float) -> Erasure:
        return Erasure("e1", NOW)

    async def erasure(self, erasure_id: str) -> Erasure | None:
        return None

    async def export(self, person: dict[str, Stored]) -> dict[str, Any]:
        return {"states": [], "log": {}}


@dataclass
class FakeItems:
    kept: dict[str, Item] = field(default_factory=dict)
    revision: int = 0

    async def put(self, items: Mapping[str, Item], who: str = "") -> dict[str, int | None]:
        self.kept |= items
        self.revision += 1
        return dict.fromkeys(items, self.revision)

    async def change(self, item_id: str, change: Callable[[Item], Item], who: str = "") -> int | None:
        if item_id not in self.kept:
            return None
        self.kept[item_id] = change(self.kept[item_id])
        self.revision += 1
        return self.revision

    async def remove(self, item_id: str, who: str = "") -> int | None:
        return None if self.kept.pop(item_id, None) is None else self.revision

    async def get(self, item_id: str) -> Item | None:
        return self.kept.get(item_id)


@dataclass
class FakeAudit:
    """Numbers what it is given; fails when told to."""

    acts: list[Act] = field(default_factory=list)
    error: Exception | None = None

    async def append(self, act: Act) -> int:
        if self.error is not None:
            raise self.error
        self.acts.append(act)
        return len(self.acts)

    async def read(self, trail: Trail, from_n: int, limit: int) -> list[SignedRecord]:
        entries: list[SignedRecord] = []
        after = Head()
        for act in (act for act in self.acts if act.trail == trail):
            entries.append(AuditKeys(b"k").sealed(after, act, NOW))
            after = AuditKeys(b"k").head(trail, entries[-1])
        return [entry for entry in entries if entry.n >= from_n][:limit]

    async def head(self, trail: Trail) -> Head:
        entries = await self.read(trail, 0, len(self.acts))
        return AuditKeys(b"k").head(trail, entries[-1]) if entries else Head()


@dataclass
class FakeFollower:
    reached_ms: int = 1
    models: dict[str, Followed] = field(default_factory=dict)

    def get(self, placement: str) -> Followed | None:
        return self.models.get(placement)


@dataclass
class AddedUp:
    """One arm of every placement, chosen and shown once; who took part and what was on trial, by placement."""

    took_part: dict[str, list[Stratum]] = field(default_factory=dict)
    tried: dict[str, dict[int, TrialSums]] = field(default_factory=dict)

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        return {ArmOfSide(placement, "", "red"): ArmSums(1.0, 1.0, 1.0, 1.0, 0.5, 0.25)}

    async def strata(self, placement: str, now_ms: int) -> list[Stratum]:
        return self.took_part.get(placement, [])

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        return self.tried.get(placement, {})


@dataclass
class Site:
    """The parts of one API, and a client of it."""

    compiled: CompiledCatalog = field(default_factory=lambda: compile_catalog(shop(), 12))
    log: FakeLog = field(default_factory=FakeLog)
    spool: FakeSpool = field(default_factory=FakeSpool)
    visitors: FakeVisitors = field(default_factory=FakeVisitors)
    items: FakeItems = field(default_factory=FakeItems)
    audit: FakeAudit = field(default_factory=FakeAudit)
    follower: FakeFollower = field(default_factory=FakeFollower)
    metrics: ApiMetrics = field(default_factory=ApiMetrics)
    report: Report = field(default_factory=Report)
    learned: ModelReport | None = None
    insight: ModelInsight | None = None
    asked_of: list[str] = field(default_factory=list)
    conversions: dict[str, Served] = field(default_factory=dict)
    trusted_proxies: tuple[Network, ...] = ()
    now_ms: int = NOW
    max_body_bytes: int = 1_000_000
    tracer: Tracer | None = None
    request_lines: RequestLines = field(default_factory=RequestLines)
    rights: FakeRights = field(default_factory=FakeRights)
    records: Records = field(default_factory=NoRecords)
    added_up: AddedUp = field(default_factory=AddedUp)
    client: httpx.AsyncClient = field(init=False)

    @property
    def current(self) -> CompiledCatalog:
        return self.compiled

    def services(self) -> Services:
        catalog = PreparedInForce(self)

        async def open_decisions(key: str) -> int:
            return len(key)

        async def learned(key: str) -> ModelReport | None:
            self.asked_of.append(key)
            return self.learned

        async def insight(key: str) -> ModelInsight | None:
            self.asked_of.append(key)
            return self.insight

        return Services(
            rights=self.rights,
            secrets=SECRETS,
            catalog=catalog,
            keys=KeysInForce(catalog, lambda: NOW),
            models=ModelsInMemory(self.follower, catalog),
            visitors=self.visitors,
            log=self.log,
            spool=self.spool,
            items=self.items,
            item_of=self.items.kept.get,
            audit=self.audit,
            records=self.records,
            metrics=self.metrics,
            clock_ms=lambda: self.now_ms,
            open_decisions=open_decisions,
            learned=learned,
            insight=insight,
            read_models=self.added_up,
            decision_keys=lambda: DecisionKeys.of(SECRETS),
            trusted_proxies=self.trusted_proxies,
            conversions=self.conversions,
            readiness=lambda: self.report,
            deadline_ms=5_000,  # others use this machine too
            redis_timeout_ms=1_000,
            max_body_bytes=self.max_body_bytes,
            tracer=self.tracer,
            request_lines=self.request_lines,
        )

    async def decide(self, *placements: Any, headers: dict[str, str] = WRITE, **body: Any) -> httpx.Response:
        body = {"visitor": {"anonymousId": "a1"}, "placements": list(placements) or ["home.hero"], **body}
        return await self.client.post("/v1/decide", json=body, headers=headers)

    async def collect(self, *events: Any, headers: dict[str, str] = WRITE, **more: Any) -> httpx.Response:
        return await self.client.post("/v1/events", json={"events": list(events), **more}, headers=headers)

    async def reward(self) -> httpx.Response:
        decision_id = mint(ID_KEY, "u:u1", b"123456789")
        return await self.client.post(f"/v1/decisions/{decision_id}/reward", json={"value": 1}, headers=WRITE)

    def entries(self) -> list[tuple[str, Entry]]:
        return [(record.key, decode_entry(record.value)) for record in self.log.records]


@asynccontextmanager
async def open_site(kind: type[Site] = Site, **terms: Any) -> AsyncIterator[Site]:
    site = kind(**terms)

    @asynccontextmanager
    async def services() -> AsyncIterator[Services]:
        yield site.services()

    app = Application(services)
    async with app.started(), client_of(app) as client:
        site.client = client
        yield site


def client_of(app: Application) -> httpx.AsyncClient:
    """A client of an application that was started; ``http://inner`` is what its inner listener serves."""
    assert app.inner is not None
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app),
        mounts={"all://inner": httpx.ASGITransport(app=app.inner)},
        base_url="http://site",
    )
