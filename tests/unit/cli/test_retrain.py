"""``nextbest retrain``: what it learns from, and when it says no."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from click.testing import CliRunner

from cli.retrain import retrain
from eventlog.partition import partition_of
from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import OUTCOMES
from online_models.conversion.contender import Contender
from operations.retraining import Retrained, matured
from personalization.events.example import Challenge, ConversionRecord, Example, Stage, encode_example, example_key
from tests.unit.stream.fakes import N_PARTITIONS, MemoryLog


class Retained(MemoryLog):
    async def identity(self) -> LogIdentity:
        return LogIdentity(1, "log", N_PARTITIONS)

    async def tell(self, record: ConversionRecord | bytes, conversion: str = "buys") -> None:
        value = record if isinstance(record, bytes) else encode_example(record)
        await self.append([Record(OUTCOMES, example_key(conversion), value)])


def moment(n: int, stage: Stage, label: bool = False) -> Example:
    return Example(f"e{n}", "buys", stage, 0, n, label=label, features={"carts": float(label)})


async def test_it_learns_matured_examples_each_once_and_nothing_else() -> None:
    log = Retained()
    for n in range(3):
        await log.tell(moment(n, Stage.OPENED))
        await log.tell(moment(n, Stage.CONVERTED, label=True))
        await log.tell(moment(n, Stage.CLOSED, label=n > 0))
    await log.tell(moment(1, Stage.CLOSED, label=True))  # a folder that died before its write told it again
    await log.tell(b"\xc1")
    await log.tell(Challenge("c", "buys", b"", 0))
    neighbour = next(
        name
        for name in (f"other{n}" for n in range(100))
        if partition_of(example_key(name), N_PARTITIONS) == partition_of(example_key("buys"), N_PARTITIONS)
    )
    await log.tell(Example("x", neighbour, Stage.CLOSED, 0, 0), neighbour)
    found = [each async for each in matured(cast(EventLog, log), "buys") if isinstance(each, Example)]
    assert [(example.example_id, example.label) for example in found] == [("e0", False), ("e1", True), ("e2", True)]


def test_it_is_judged_on_what_it_had_not_learned_yet() -> None:
    rng = np.random.default_rng(1)
    retrained = Retrained(Contender())
    for _ in range(400):
        carts = float(rng.integers(0, 2))
        retrained.learn({"carts": carts}, bool(rng.random() < 0.1 + 0.7 * carts))
    card = retrained.scorecard()
    assert card.rows == 400
    assert retrained.served[0] == 0.5
    assert card.auc.value > 0.75


@pytest.mark.parametrize("options", [["--label", "bought"], ["--history", __file__]])
def test_a_file_and_its_label_go_together(options: list[str]) -> None:
    result = CliRunner().invoke(retrain, ["buys", *options])
    assert result.exit_code == 2
    assert "--history and --label go together" in result.output
