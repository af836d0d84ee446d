"""What is asked, pinned: one placement of 20 arms with windows of 10 s, and 10,000 visitors who are known."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

N_ARMS = 20
N_VISITORS = 10_000
N_EVENTS = 4
"""Of each visitor, before anything is decided."""

WINDOW_S = 10
"""A decision is closed so long after it was made: a load that lasts longer makes as many outcomes as decisions."""

KEY = "pk_latency"
BATCH_EVENTS = 2_000
CATEGORIES = ("shoes", "shirts", "tents", "stoves", "bags")


def write_catalog(folder: Path) -> None:
    """The catalog, as one file in ``folder``. JSON is YAML."""
    rules = {3: "'buyer' in segments", 7: "device != 'bot'", 11: "traits.age > 30", 15: "cart_value < 500.0"}
    contents: dict[str, dict[str, Any]] = {
        f"offer-{arm}": {
            "type": "html",
            "body": f"<h1>Offer {arm}</h1>",
            "features": {"category": CATEGORIES[arm % len(CATEGORIES)]},
            **({"when": rules[arm]} if arm in rules else {}),
        }
        for arm in range(N_ARMS)
    }
    catalog = {
        "placements": {
            "home.hero": {
                "content": list(contents),
                "default": "offer-0",
                "holdout": 0.05,
                "window": f"{WINDOW_S}s",
                "rewards": [{"event": "Product Clicked", "value": 1}],
            }
        },
        "content": contents,
        "segments": {"buyer": "n_orders > 0", "browser": "event_count > 10 && n_orders == 0"},
        "affinities": {"category": {"rules": [{"event": "Product Viewed", "key": "properties.category"}]}},
        "features": ["affinities", "cart_value", "counts", "device", "hour", "n_orders", "segments", "session"],
        "sources": {
            "shop": {
                "write_keys": [KEY],
                "consent_default": "granted",
                "limits": {"per_address": "unlimited", "per_server_key": "unlimited"},
            }
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.yaml").write_text(json.dumps(catalog, indent=1))


def event_batches() -> Iterator[list[dict[str, Any]]]:
    """What the visitors did before, in bodies of ``POST /v1/events``."""
    rng = random.Random(7)
    events = [
        {
            "type": "track",
            "messageId": f"before-{visitor}-{number}",
            "anonymousId": visitor_id(visitor),
            "event": "Product Added" if number % 4 == 3 else "Product Viewed",
            "properties": {"category": rng.choice(CATEGORIES), "product_id": str(number), "price": 20},
        }
        for number in range(N_EVENTS)
        for visitor in range(N_VISITORS)
    ]
    for at in range(0, len(events), BATCH_EVENTS):
        yield events[at : at + BATCH_EVENTS]


def visitor_id(number: int) -> str:
    """The anonymous id of a visitor."""
    return f"v{number}"


def targets(url: str) -> str:
    """Decides for every visitor in a pinned order, as vegeta's JSON targets."""
    order = list(range(N_VISITORS))
    random.Random(11).shuffle(order)
    header = {"Content-Type": ["application/json"], "Authorization": [f"Bearer {KEY}"]}
    lines = []
    for visitor in order:
        body = {
            "visitor": {"anonymousId": visitor_id(visitor)},
            "placements": ["home.hero"],
            "context": {
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
                "locale": "en-GB",
                "page": {"path": "/"},
            },
        }
        target = {
            "method": "POST",
            "url": f"{url}/v1/decide",
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "header": header,
        }
        lines.append(json.dumps(target))
    return "\n".join(lines) + "\n"
