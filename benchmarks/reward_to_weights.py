"""From the end of a reward window until served decisions carry the changed weights.

    .venv/bin/python -m benchmarks.reward_to_weights [--trials 30] [--goal-ms 1000]

Starts an installation of its own (embedded, default settings). Each trial shows an arm, clicks on it, and asks the
deciding process again and again how many outcomes the weights it decides by have learned, until it is one more.
Time counts from when the window ends: 500 ms after the decision was *asked for*, earlier than it was shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.ending import end_by_sigterm
from cli.up import UpOptions, running

WINDOW_S = 0.5
ASK_EVERY_S = 0.01
GIVE_UP_S = 10.0

CATALOG = """
placements:
  hero:
    content: [red, green, blue]
    default: red
    window: 500ms
    rewards: [{event: Clicked}]
    features: [device]
content:
  red: {type: html, body: red}
  green: {type: html, body: green}
  blue: {type: html, body: blue}
sources:
  site: {write_keys: [pk_bench], server_keys: [sk_bench], consent_default: granted}
"""


async def decide(session: aiohttp.ClientSession, visitor: str) -> dict[str, Any]:
    """One decision, shown."""
    body = {"visitor": {"anonymousId": visitor}, "placements": ["hero"]}
    async with session.post("/v1/decide", json=body) as answer:
        decision: dict[str, Any] = (await answer.json())["decisions"][0]
        return decision


async def n_learned(session: aiohttp.ClientSession) -> int:
    """How many outcomes the weights have learned that the API decides by at this moment."""
    async with session.get("/v1/placements/hero", headers={"Authorization": "Bearer sk_bench"}) as answer:
        return int((await answer.json())["learned"] or 0)


async def trial(session: aiohttp.ClientSession) -> float:
    """One reward; how long, in milliseconds."""
    visitor = uuid.uuid4().hex
    before = await n_learned(session)
    asked_s = time.perf_counter()
    shown = await decide(session, visitor)
    event = {
        "type": "track",
        "event": "Clicked",
        "anonymousId": visitor,
        "properties": {"contentId": shown["contentId"]},
    }
    async with session.post("/v1/events", json=event) as answer:
        answer.raise_for_status()
    ends_s = asked_s + WINDOW_S
    await asyncio.sleep(max(0.0, ends_s - time.perf_counter()))
    while time.perf_counter() < ends_s + GIVE_UP_S:
        if await n_learned(session) > before:
            return (time.perf_counter() - ends_s) * 1000
        await asyncio.sleep(ASK_EVERY_S)
    raise TimeoutError(f"no other weights within {GIVE_UP_S:.0f} s")


async def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--goal-ms", type=float, default=1000.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog"
        catalog.mkdir()
        (catalog / "hero.yaml").write_text(CATALOG)
        options = UpOptions(port=0, data_dir=Path(folder) / "data", catalog=catalog, api_processes=1, workers=1)
        async with running(options, lambda line: print(line, file=sys.stderr)) as installation:
            headers = {"Authorization": "Bearer pk_bench"}
            async with aiohttp.ClientSession(installation.url, headers=headers) as session:
                lags_ms = [await trial(session) for _ in range(arguments.trials)]
    report = {
        "trials": len(lags_ms),
        "reward_to_weights_ms": {
            "p50": round(statistics.median(lags_ms), 1),
            "max": round(max(lags_ms), 1),
        },
        "met": max(lags_ms) <= arguments.goal_ms,
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    end_by_sigterm()
    sys.exit(asyncio.run(main()))
