"""What ``nextbest simulate`` says is what the live system does: the same rows through HTTP, log, learner, snapshot.

All rows of *digits* in file order, in blocks: a block is decided, then rewarded (final), and the next one begins
once the deciding process has a model that knows all of it. So every decision is made by the model that knows
exactly the earlier blocks, which is what ``simulate --delay 0 --update-every 16`` plays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.demo.transport import HttpTransport, Transport
from config.loader import load_catalog
from config.setting_values import RedisUrl, Secret
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.topics import OUTCOMES, Topics
from online_models.placement_model import PlacementModel
from operations.simulation.play import PlaySettings, play
from operations.simulation.table import Table, by_label
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import ticket
from personalization.events.outcome import Outcome, decode_outcome
from personalization.key_derivation import Secrets
from stream.learning.placement_training import model_spec
from tests.ciphers import cipher_at
from tests.requirements import data_file, require
from tests.running import BOUND_S, Up, start, stop

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(400)]

BLOCK = 16
PLACEMENT = "digits"
SECRET = "the draws of a test may be known"

CATALOG = """
placements:
  digits: {{content: [{arms}], default: {first}, window: 1h, features: [context.row]}}
content:
{content}
sources: {{site: {{write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}}}}
"""


@pytest.fixture(scope="module")
def table() -> Table:
    return by_label(data_file("bandit-digits.csv.gz"), "label")


@pytest.fixture(scope="module")
def up(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    require("redis")
    catalog = tmp_path_factory.mktemp("catalog")
    arms = ", ".join(f"'{arm}'" for arm in table.arms)
    content = "\n".join(f"  '{arm}': {{body: {{digit: '{arm}'}}}}" for arm in table.arms)
    (catalog / "digits.yaml").write_text(CATALOG.format(arms=arms, first=table.arms[0], content=content))
    settings = {
        "NEXTBEST_PUBLISH_MS": "20",
        "NEXTBEST_SECRET": SECRET,
        # Others use this machine too: no answer may be given without state and model for want of time.
        "NEXTBEST_REDIS_TIMEOUT_MS": "2000",
        "NEXTBEST_DEADLINE_MS": "5000",
    }
    running = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog), **settings)
    running.catalog = catalog
    yield running
    stop(running)


async def decide(api: Transport, visitor: str, context: dict[str, Any]) -> dict[str, Any]:
    body = {
        "visitor": {"anonymousId": visitor},
        "placements": [PLACEMENT],
        "context": {"row": context},
        "deadlineMs": 5000,
    }
    decision: dict[str, Any]
    (decision,) = (await api.request("POST", "/v1/decide", body))["decisions"]
    assert decision["tier"] == "personalised"
    return decision


async def reward(api: Transport, decision: dict[str, Any], value: float) -> None:
    # The decision's id as message id is what a caller who has no better one sends.
    body = {"value": value, "final": True, "messageId": decision["decisionId"]}
    await api.request("POST", f"/v1/decisions/{decision['decisionId']}/reward", body)


async def learned(api: Transport, n: int) -> None:
    """Wait until the process that decides has a model that learned ``n`` outcomes."""
    async with asyncio.timeout(BOUND_S):
        while True:
            placement = await api.request("GET", f"/v1/placements/{PLACEMENT}")
            if (placement["learned"] or 0) >= n:
                return
            await asyncio.sleep(0.005)


async def play_live(api: Transport, table: Table) -> dict[str, int]:
    """All rows, decided and rewarded: decision id → row."""
    rows_of: dict[str, int] = {}
    for first in range(0, len(table), BLOCK):
        rows = range(first, min(first + BLOCK, len(table)))
        decisions = await asyncio.gather(*(decide(api, f"visitor-{row}", table.contexts[row]) for row in rows))
        values = [
            float(table.rewards[row, table.arms.index(decision["contentId"])])
            for row, decision in zip(rows, decisions, strict=True)
        ]
        await asyncio.gather(*(reward(api, *one) for one in zip(decisions, values, strict=True)))
        rows_of |= {decision["decisionId"]: row for row, decision in zip(rows, decisions, strict=True)}
        await learned(api, len(rows_of))
    return rows_of


async def logged_outcomes(redis_url: str) -> list[Outcome]:
    cipher = await cipher_at(Settings(redis=RedisUrl(redis_url), secret=Secret(SECRET)))
    log = open_log(redis_url, Topics("nextbest."), cipher=cipher)
    await log.start()
    try:
        n_partitions = (await log.identity()).n_partitions
        return [
            decode_outcome(read.value)
            for partition in range(n_partitions)
            async for read in log.read(OUTCOMES, partition, 0)
        ]
    finally:
        await log.close()


def relearned(catalog: Path, outcomes: list[Outcome]) -> PlacementModel:
    """The placement's model by a plain loop over what the log holds."""
    spec = load_catalog(catalog).placements[PLACEMENT]
    model = PlacementModel(PLACEMENT, model_spec(spec), spec.reward_range)
    for outcome in outcomes:
        model.learn(outcome)
    return model


async def test_live_equals_simulate(up: Up, table: Table) -> None:
    async with HttpTransport(up.url, "sk_dev", connections=BLOCK) as api:
        live = await play_live(api, table)
        probe = table.contexts[7]
        served = [await decide(api, f"probe-{n}", probe) for n in range(8)]
    n = len(table)
    assert (n, len(live)) == (1_797, 1_797)

    # The features of every row reached the learner as they were sent, exactly.
    outcomes = await logged_outcomes(up.redis_url())
    rows = [live[outcome.choice.decision_id] for outcome in outcomes]
    assert sorted(rows) == list(range(n))
    for row, outcome in zip(rows, outcomes, strict=True):
        assert outcome.features == {f"context.row.{name}": value for name, value in table.contexts[row].items()}
        assert outcome.reward == table.rewards[row, table.arms.index(outcome.choice.arm)]

    # What is served is what a plain loop over the logged outcomes learns, probability for probability.
    features = {f"context.row.{name}": value for name, value in probe.items()}
    offline = relearned(up.catalog, outcomes).snapshot().distribution(table.arms, features, policy=PolicySpec())
    probabilities = {arm: offline.probability(index) for index, arm in enumerate(table.arms)}
    for decision in served:
        assert decision["probability"] == pytest.approx(probabilities[decision["contentId"]], rel=1e-6)

    # The simulation: the same order (within a block, the one in which the log has the outcomes), the same delay,
    # and the same draws, without which two plays differ by ±.015 on this set, however alike they are.
    as_logged = Table([dict(outcome.features) for outcome in outcomes], table.arms, table.rewards[rows])
    draws = Secrets(SECRET.encode()).key("draws")
    tickets = [ticket(draws, outcome.choice.decision_id) for outcome in outcomes]
    settings = PlaySettings(PolicySpec(), delay=0, update_every=BLOCK)
    simulated = play(as_logged, settings, np.arange(n), 0, tickets=tickets).rewards
    rewards = np.array([outcome.reward for outcome in outcomes])
    standard_error = float((simulated.var() / n) ** 0.5)
    assert abs(rewards.mean() - simulated.mean()) <= 2 * standard_error
    assert np.mean(rewards == simulated) > 0.98, "nearly every single choice is the same"
