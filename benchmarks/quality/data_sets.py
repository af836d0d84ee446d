"""The rows of the table: which file, how it is played, what is measured, what is aimed at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from operations.simulation.table import Columns, Table, by_label, by_log, by_rewards

HALVES = ("first_half", "second_half")


@dataclass(frozen=True, slots=True)
class DataSet:
    """One row.

    Attributes
    ----------
    options
        Those of ``nextbest simulate`` (or ``backtest``): what is played is what the command plays.
    figures
        Names of what is shown, out of the summary.
    goal
        One per figure; None: none.
    """

    name: str
    file: str
    options: tuple[str, ...]
    kind: Literal["label", "rewards", "log", "conversion"] = "label"
    figures: tuple[str, ...] = ("mean_reward",)
    goal: tuple[float | None, ...] = (None,)
    reward_range: tuple[float, float] = (0.0, 1.0)
    delay: int = 0
    update_every: int = 1
    ours_alone: bool = False
    note: str = ""

    @property
    def keep_halves(self) -> bool:
        """Whether rows stay in their half."""
        return "--keep-halves" in self.options

    def command(self, orders: int) -> str:
        """How our figure is got without this benchmark."""
        name, more = ("backtest", "") if self.kind == "conversion" else ("simulate", f" --orders {orders}")
        return f"nextbest {name} {self.file} {' '.join(self.options)}{more} --json"

    def table(self, folder: Path, limit: int | None) -> Table:
        """The rows, as ``nextbest simulate`` reads them."""
        path = folder / self.file
        if self.kind == "label":
            return by_label(path, self.option("--label"), Columns(limit=limit))
        if self.kind == "rewards":
            return by_rewards(path, self.option("--rewards").split(","), Columns(limit=limit))
        ignored = self.option("--ignore").split(",") if "--ignore" in self.options else ()
        return by_log(path, self.option("--shown"), self.option("--reward"), columns=Columns(ignored, limit=limit))

    def option(self, name: str) -> str:
        """The value of one of the options."""
        return self.options[self.options.index(name) + 1]


def _arms(n: int) -> str:
    return ",".join(f"arm{i}" for i in range(n))


FIVE = ("digits", "letter", "satellite", "segments", "shuttle")
LABEL = ("--label", "label")
DELAYED = (*LABEL, "--delay", "200", "--update-every", "50")
BANDITS = tuple(DataSet(name, f"bandit-{name}.csv.gz", LABEL) for name in FIVE)
LATE = tuple(
    DataSet(f"{name}-delayed", f"bandit-{name}.csv.gz", DELAYED, delay=200, update_every=50, ours_alone=True)
    for name in FIVE
)
OTHERS = (
    DataSet(
        "drift",
        "bandit-satellite-drift.csv.gz",
        (*LABEL, "--keep-halves"),
        figures=HALVES,
        goal=(0.86, 0.845),
        note="first / second half; all labels change at half time",
    ),
    DataSet(
        "jester",
        "offers-jester.csv.gz",
        ("--rewards", _arms(8), "--reward-range", "-10:10"),
        "rewards",
        goal=(3.36,),
        reward_range=(-10.0, 10.0),
        note="ratings from -10 to 10",
    ),
    DataSet(
        "lowrate",
        "offers-lowrate.csv.gz",
        ("--rewards", _arms(12)),
        "rewards",
        figures=("second_half",),
        goal=(0.04,),
        note="second half; about 2 % click",
    ),
    DataSet(
        "news",
        "replay-news.csv.gz",
        ("--shown", "shown", "--reward", "clicked"),
        "log",
        goal=(0.91,),
        note="replay by rejection",
    ),
    DataSet(
        "hillstrom",
        "replay-hillstrom.csv.gz",
        ("--shown", "treatment", "--reward", "visit", "--ignore", "conversion,spend"),
        "log",
        goal=(0.179,),
        note="replay by rejection; conversion and spend come after the e-mail and are no context",
    ),
)
CONVERSIONS = tuple(
    DataSet(name, f"convert-{name}.csv.gz", ("--label", "converted"), "conversion", ("auc",), (goal,), note="AUC")
    for name, goal in (("shoppers", 0.905), ("bank", 0.80))
)
DATA_SETS: Sequence[DataSet] = (*BANDITS, *OTHERS, *LATE, *CONVERSIONS)


def data_folder(given: str) -> Path | None:
    """The folder given, else the one ``NEXTBEST_DATA`` names, else a ``data`` beside the project's; or none."""
    named = given or os.environ.get("NEXTBEST_DATA", "")
    if named:
        return Path(named)
    beside = sorted(Path(__file__).resolve().parents[3].glob("*/data"))
    return next((folder for folder in beside if (folder / DATA_SETS[0].file).is_file()), None)
