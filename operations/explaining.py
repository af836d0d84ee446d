"""An installation as explanations need it: read, and never written. What is decided here is shown to nobody."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from api.process.catalog import PreparedInForce
from api.process.conversions import ConversionsInMemory
from api.process.models import ModelsInMemory
from api.services.explaining import CatalogOf, Explainer
from api.services.records import Records
from installation.opened import Installation, published
from installation.records import records_of
from installation.redis_clients import DeciderReads
from installation.secrets_of import installed_secrets
from operations.key_changes import source_of
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.deciding.decide import check, decide
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.deciding.watching import FilledSlot
from personalization.errors import Refused
from personalization.events.decision_id import NONCE_BYTES
from personalization.explaining.explanation import Explanation
from personalization.explaining.of_slot import explain_slot
from personalization.visitor.visitor_key import anonymous_key, is_registered, user_key
from state.assignment_store import AssignmentStore
from state.conversion_store import ConversionFollower
from state.item_follower import ItemFollower
from state.item_store import ItemStore
from state.model_store import ModelFollower
from state.visitor_reader import VisitorReader

READ_TIMEOUT_S = 5.0
"""Of one read of a visitor: nobody's page waits for it."""

Kind: TypeAlias = Literal["user", "anonymous"]


class Person(NamedTuple):
    """A visitor as they were found: under which key, and where its redirects end."""

    key: str
    canonical: str


class _Version(NamedTuple):
    current: CompiledCatalog


@dataclass(frozen=True, slots=True)
class Explaining:
    """What explanations are made of, and what decides as the API would (``api.services.explaining.Sources``)."""

    records: Records
    catalog: PreparedInForce
    visitors: VisitorReader
    models: ModelsInMemory
    conversions: ConversionsInMemory
    decision_keys: Callable[[], DecisionKeys]
    clock_ms: Callable[[], int]
    catalog_of: CatalogOf

    async def person(self, visitor_id: str, kind: Kind | None) -> Person:
        """The visitor of an id: a user's, else an anonymous one.

        Raises
        ------
        Refused
            For nobody known.
        """
        keys = {"user": user_key(visitor_id), "anonymous": anonymous_key(visitor_id)}
        for key in (keys[kind],) if kind else keys.values():
            canonical, states = await self.visitors.read_canonical(key)
            if states:
                return Person(key, canonical)
        raise Refused(f"nobody known has the id {visitor_id!r}: nothing was folded of them, or they were forgotten")

    async def past(self, person: Person, placement: str) -> Explanation:
        """Why their latest decision for ``placement`` was made; raises ``Refused`` if there is none."""
        found = await Explainer(self, self.catalog_of).latest((person.key, person.canonical), placement)
        if found is None:
            there = self.catalog.current.placements
            if placement not in there:
                raise Refused(
                    f"there is no placement {placement!r}; there are: {', '.join(sorted(there)) or 'none'}"
                )
            raise Refused(
                f"no decision for {placement} is recorded of them: none was asked for, consent was missing, or the "
                "log has let it go; --now tells what would be decided now"
            )
        return found

    async def now(
        self, person: Person, placement: str, source: str | None, context: Mapping[str, Any]
    ) -> list[Explanation]:
        """What would be decided now for each slot of ``placement``, and why; nothing is recorded.

        Raises
        ------
        InvalidInput
            For a placement or a source that is not there.
        """
        catalog = self.catalog.current
        registered = is_registered(person.key)
        default = source_of(catalog.catalog.catalog, source).consent_default
        request = DecideRequest(
            request_id=os.urandom(8).hex(),
            placements=(PlacementRequest(placement),),
            user_id=person.key[2:] if registered else None,
            anonymous_id=None if registered else person.key[2:],
            context=dict(context),
            activate=False,
            consent_default=default == "granted",
        )
        check(request, catalog)
        states = await self.visitors.read(request.keys(), person.key if registered else None)
        slots: list[FilledSlot] = []
        decide(
            request,
            states,
            catalog,
            self.models,
            self.clock_ms(),
            keys=self.decision_keys(),
            nonce=lambda: os.urandom(NONCE_BYTES),
            scorers=self.conversions,
            watch=slots.append,
        )
        return [explain_slot(slot, "now") for slot in slots]


@asynccontextmanager
async def open_explaining(opened: Installation) -> AsyncIterator[Explaining]:
    """Read what explanations need; raises ``Refused`` where no catalog is published yet."""
    reads = DeciderReads(opened.settings.redis)
    try:
        yield await _read(opened, reads)
    finally:
        await reads.aclose()


async def _read(opened: Installation, reads: DeciderReads) -> Explaining:
    redis, keys, cipher = opened.redis, opened.keys, opened.cipher
    latest = await opened.catalogs.latest()
    if latest is None:
        raise Refused("no catalog is published yet: `nextbest publish` publishes one")
    secrets = installed_secrets(opened.settings)
    decision_keys = DecisionKeys.of(secrets, await AssignmentStore(redis, keys, secrets).load())
    items = ItemFollower(ItemStore(redis, opened.settings.namespace))
    await items.refresh()
    compiled_of = published(opened.catalogs)
    current = PreparedInForce(_Version(await compiled_of(latest[0])), items)
    models = ModelFollower(redis, keys, secrets.key("models"), cipher=cipher)
    await models.refresh()
    conversions = ConversionFollower(redis, keys, secrets.key("models"), cipher=cipher)
    await conversions.refresh()

    async def prepared_of(version: int) -> PreparedCatalog | None:
        try:
            return PreparedInForce(_Version(await compiled_of(version)), items).current
        except Refused:
            return None  # it was pruned: the one in force is told instead, and said so

    return Explaining(
        records=records_of(opened),
        catalog=current,
        visitors=VisitorReader(reads, keys, READ_TIMEOUT_S, cipher=cipher),
        models=ModelsInMemory(models, current),
        conversions=ConversionsInMemory(conversions),
        decision_keys=lambda: decision_keys,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        catalog_of=prepared_of,
    )
