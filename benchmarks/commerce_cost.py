"""What cart, revenue and orders cost a fold: CPU µs an event, without ``events`` in the catalog and with presets.

    python -m benchmarks.commerce_cost [--rounds 31]

The visit of ``benchmarks.state_size`` (mostly views, which mean nothing to a cart), and the events that do
something, each alone. Medians over the rounds, in turn, process CPU alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.ending import end_by_sigterm
from benchmarks.state_size import visit
from personalization.audience.commerce import apply_commerce
from personalization.catalog.catalog import Catalog, Events
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.event import Track
from personalization.visitor.visitor_state import VisitorState

N_EVENTS = 10_000


def us_an_event(events: Sequence[Track], catalog: CompiledCatalog) -> float:
    """CPU µs of taking each of them into cart, revenue and orders."""
    state, n_times = VisitorState(), N_EVENTS // len(events)
    began_s = time.process_time()
    for _ in range(n_times):
        for event in events:
            apply_commerce(state, event, catalog)
    return (time.process_time() - began_s) / (n_times * len(events)) * 1e6


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31)
    rounds = parser.parse_args().rounds
    terms: dict[str, Any] = {"placements": {}, "content": {}}
    presets = Events(presets=("segment", "ga4", "shopify", "email"), currency="EUR")
    catalogs = {
        "without": compile_catalog(Catalog(**terms), 1),
        "presets": compile_catalog(Catalog(**terms, events=presets), 1),
    }
    tracks = [event for event in visit() if isinstance(event, Track)]
    kinds = {"visit": tracks, **{event.event: [event] for event in tracks}}
    bought = {"value": 40, "currency": "EUR", "items": [{"item_id": "p1", "price": 20, "quantity": 2}]}
    kinds["add_to_cart"] = [Track(message_id="m", event="add_to_cart", properties=bought)]
    for kind, events in kinds.items():
        found: dict[str, list[float]] = {name: [] for name in catalogs}
        for _ in range(rounds):
            for name, catalog in catalogs.items():
                found[name].append(us_an_event(events, catalog))
        print(json.dumps({kind: {name: round(statistics.median(each), 2) for name, each in found.items()}}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
