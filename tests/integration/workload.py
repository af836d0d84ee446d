"""A seeded stream of what visitors do: events, words on consent, identities that meet, decisions, rewards, and
windows that end.

Written straight to the visitor log in bursts, each with more than 64 entries of one visitor.
"""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

from msgspec import structs

from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from personalization.catalog.catalog import (
    AffinityRule,
    AffinitySpec,
    Catalog,
    Content,
    Conversion,
    Metric,
    Placement,
    RewardRule,
    Source,
)
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.variants import PlacementVariant
from personalization.events.entry import LOGGED_OUT, SAME_PERSON, Entry, Sender, encode_entry
from personalization.events.event import Activated, DecisionMade, Event, Identify, Link, Page, Rewarded, Track
from personalization.features import pack
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_key import anonymous_key, user_key

WINDOW_MS = 400
OF_ONE = 120
ARMS = ("red", "green", "blue")

VARIANTS = {
    "b": PlacementVariant(share=0.4, policy=PolicySpec(name="thompson")),
    "c": PlacementVariant(share=0.2, content=ARMS[:2], learn="shared"),
}


def catalog() -> Catalog:
    """Two placements, one in variants, and two conversions; windows short enough to end while a test watches."""
    rewards = (RewardRule(event="Order Completed", value=1.0), RewardRule(event="Product Clicked", value=0.5))
    placement = Placement(
        content=ARMS,
        default="red",
        rewards=rewards,
        window_ms=WINDOW_MS,
        attribution="any_exposed",
        horizon_ms=4 * WINDOW_MS,
    )
    return Catalog(
        placements={"hero": placement, "cart": structs.replace(placement, variants=VARIANTS)},
        content={arm: Content(body={"arm": arm}) for arm in ARMS},
        affinities={
            "category": AffinitySpec(rules=(AffinityRule(event="Product Viewed", key="properties.category"),))
        },
        conversions={
            "buys": Conversion(event="Order Completed", horizon_ms=2 * WINDOW_MS),
            "clicks": Conversion(event="Product Clicked", horizon_ms=3 * WINDOW_MS, labels="early"),
        },
        metrics={"clicked": Metric(event="Product Clicked", value=1.0, cap=3.0)},
        session_gap_ms=WINDOW_MS,  # of bursts that lie further apart each begins a session
        features=("session.n_views", "counts"),
        sources={"test": Source(write_keys=("pk",), consent_default="granted")},
    )


class Workload:
    """Bursts, reproducible but for the time stamps.

    Parameters
    ----------
    catalog_version
        Stamped on every entry.
    """

    def __init__(self, seed: int, catalog_version: int, n_visitors: int = 24) -> None:
        self._random = random.Random(seed)
        self._catalog_version = catalog_version
        self._newcomers = itertools.count()
        self._visitors = [self._newcomer() for _ in range(n_visitors)]
        self._n = 0
        self._open: list[tuple[str, str]] = []
        self.n_appended = 0
        self.n_decisions = 0

    def stamp(self, catalog_version: int) -> None:
        """What happens from now on comes under this version."""
        self._catalog_version = catalog_version

    def burst(self, n_others: int = 60) -> list[Record]:
        """What happens next: ``OF_ONE`` entries of one visitor among ``n_others`` of others."""
        for _ in range(2):  # somebody goes, somebody new comes: there is always somebody to merge
            self._visitors = [*self._visitors[1:], self._newcomer()]
        busy = self._random.choice(self._visitors)
        whose = [busy] * OF_ONE + [self._random.choice(self._visitors) for _ in range(n_others)]
        self._random.shuffle(whose)
        records: list[Record] = []
        for visitor in whose:
            records += self._step(visitor, known=visitor == busy or self._random.random() < 0.3)
        records += self._clicks_after_log_out(self._newcomer()) + self._refuses(self._newcomer())
        self.n_appended += len(records)
        return records

    def _newcomer(self) -> str:
        n = next(self._newcomers)
        return f"v{n}{{}}" if n % 5 == 0 else f"v{n}"

    def _step(self, visitor: str, known: bool) -> list[Record]:
        anonymous, registered = anonymous_key(visitor), user_key(f"user-{visitor}")
        key = registered if known else anonymous
        kind = self._random.random()
        self._n += 1
        ids: dict[str, Any] = {
            "message_id": f"m{self._n}",
            "anonymous_id": visitor,
            "user_id": f"user-{visitor}" if known else None,
        }
        if kind < 0.008:
            words = {"personalization": self._random.random() < 0.6, "ads": self._random.random() < 0.5}
            return [self._record(key, Track(**ids, event="Consent Updated", properties=words))]
        if kind < 0.45:
            category = self._random.choice(("shoes", "hats", "bags"))
            return [self._record(key, Track(**ids, event="Product Viewed", properties={"category": category}))]
        if kind < 0.55:
            return [self._record(key, Page(**ids, name="home"))]
        if kind < 0.62:
            on = {"contentId": self._random.choice(ARMS)} if self._random.random() < 0.5 else {}
            return [self._record(key, Track(**ids, event="Product Clicked", properties=on))]
        if kind < 0.66:
            return [self._record(key, Track(**ids, event="Order Completed", properties={"revenue": 7.5}))]
        if kind < 0.90:
            return [self._decision(key)]
        if kind < 0.97 and self._open:
            owner, decision = self._open[self._random.randrange(len(self._open))]
            if self._random.random() < 0.3:
                return [self._record(owner, Activated(decision_id=decision))]
            final = self._random.random() < 0.3
            reward = Rewarded(message_id=f"m{self._n}", decision_id=decision, value=0.25, final=final)
            return [self._record(owner, reward)]
        # The collector appends the link beside the identify, under the losing id.
        identify = Identify(**{**ids, "user_id": f"user-{visitor}"}, traits={"plan": "gold"})
        return [self._record(registered, identify), self._record(anonymous, Link(canonical=registered))]

    def _clicks_after_log_out(self, visitor: str) -> list[Record]:
        """What was shown to somebody who logged in is clicked on by the browser alone: it is offered to them."""
        self._n += 1
        anonymous, registered = anonymous_key(visitor), user_key(f"user-{visitor}")
        clicked = Track(
            message_id=f"m{self._n}",
            anonymous_id=visitor,
            event="Product Clicked",
            properties={"contentId": self._random.choice(ARMS)},
        )
        return [
            self._record(anonymous, Link(canonical=registered)),
            self._decision(registered),
            self._record(anonymous, clicked, LOGGED_OUT),
        ]

    def _refuses(self, visitor: str) -> list[Record]:
        """Somebody refuses while a decision of theirs is open."""
        self._n += 1
        anonymous = anonymous_key(visitor)
        refusal = Track(
            message_id=f"m{self._n}",
            anonymous_id=visitor,
            event="Consent Updated",
            properties={"personalization": False},
        )
        decision = self._decision(anonymous)
        self._open.pop()  # nobody rewards it
        return [decision, self._record(anonymous, refusal)]

    def _decision(self, key: str) -> Record:
        self._n += 1
        decision = f"d{self._n}"
        self.n_decisions += 1
        self._open = [*self._open[-40:], (key, decision)]
        placement, variant = self._random.choice(("hero", "cart")), self._random.choice(("", *VARIANTS))
        variant = variant if placement == "cart" else ""
        made = DecisionMade(
            choice=Choice(
                decision_id=decision,
                placement=placement,
                slot=0,
                arm=self._random.choice(ARMS),
                weight=2**31,
                policy="default",
                catalog_version=self._catalog_version,
                variant=variant,
                shared=bool(variant) and VARIANTS[variant].is_shared,
            ),
            message_id=f"m{self._n}",
            exposed=self._random.random() < 0.8,
            features=pack(
                {
                    "hour": float(self._random.randrange(24)),
                    "device": self._random.choice(("mobile", "desktop")),
                }
            ),
        )
        return self._record(key, made)

    def _record(self, key: str, event: Event, after_login: str = "") -> Record:
        now_ms = time.time_ns() // 1_000_000
        after_login = after_login or self._random.choice((LOGGED_OUT, SAME_PERSON))
        entry = Entry(
            received_at_ms=now_ms,
            occurred_at_ms=now_ms,
            catalog_version=self._catalog_version,
            event=event,
            sender=Sender("test", "write", after_login=after_login),
        )
        return Record(VISITOR_LOG, key, encode_entry(entry))
