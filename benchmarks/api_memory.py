"""What an API process remembers at most of senders, links, proofs, words on consent and rates: megabytes, full.

.venv/bin/python -m benchmarks.api_memory
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from api.access.key_ring import Access
from api.limits.buckets import MAX_BUCKETS, Buckets, Pace
from api.services.consent_gate import MAX_SAID, ConsentGate
from api.services.intake import Intake
from api.services.linker import MAX_LINKED, Linker
from api.services.proven_pairs import MAX_PROVEN, ProvenPairs
from api.services.senders import MAX_SENDERS, Senders
from benchmarks.ending import end_by_sigterm
from personalization.visitor.purposes import PERSONALISING

ID = "visitor-{:024d}"
"""As long as ids of browsers are."""


def fill_senders() -> Senders:
    """One address each."""
    senders = Senders(b"secret")
    access = Access("shop", "write", "granted")
    for n in range(MAX_SENDERS):
        senders.of(access, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 0)
    return senders


def fill_links() -> Linker:
    """One registered visitor each."""
    linker = Linker()
    for n in range(MAX_LINKED):
        linker.appended(linker.links_of("u:" + ID.format(n), "a:" + ID.format(n), 0), 0)
    return linker


def fill_words() -> ConsentGate:
    """One visitor each, who refused personalization."""
    gate = ConsentGate(cast("Any", None))
    named = SimpleNamespace(purposes=frozenset({PERSONALISING}))
    intake = cast("Intake", SimpleNamespace(received_at_ms=0, catalog=SimpleNamespace(named=named)))
    for n in range(MAX_SAID):
        gate.remember(("a:" + ID.format(n),), {PERSONALISING: False}, intake)
    return gate


def fill_proven() -> ProvenPairs:
    """One browser each, that has just proven whose it is."""
    pairs = ProvenPairs(cast("Any", None))
    for n in range(MAX_PROVEN):
        pairs.remember(ID.format(n), ID.format(n), 0)
    return pairs


def fill_buckets() -> Buckets:
    """One address each."""
    buckets, pace = Buckets(), Pace(0.005, 10.0)
    for n in range(MAX_BUCKETS):
        buckets.wait_s(("shop", f"2001:db8:{n >> 8:x}:{n & 255:x}::/64"), pace, 0.0)
    return buckets


def megabytes(fill: Callable[[], object]) -> float:
    """What stays allocated of what it makes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = fill()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / 1e6


def main() -> None:
    """Print them."""
    fills = {
        "senders": fill_senders,
        "links": fill_links,
        "words": fill_words,
        "proven": fill_proven,
        "buckets": fill_buckets,
    }
    print(json.dumps({name: round(megabytes(fill), 1) for name, fill in fills.items()}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
