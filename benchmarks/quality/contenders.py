"""Who takes part: ours, and what of the others is installed here."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import online_models
import operations.simulation.play
import personalization
from benchmarks.quality.data_sets import DataSet
from benchmarks.quality.player import play_contender
from online_models.conversion.registry import make_conversion_model
from operations.simulation.play import PlaySettings, Run, play
from operations.simulation.table import Table
from personalization.catalog.policy_spec import PolicySpec

OURS = "nextbest"
INSTALL = "pip install -e '.[bench]'"


@dataclass(frozen=True, slots=True)
class Contender:
    """One column of the table.

    Attributes
    ----------
    stamp
        Changes when its code or release does: what was measured under another stamp is measured again.
    play
        One order of one data set; the last argument is the seed of the draws.
    classifier
        For conversions: makes a model with River's ``learn_one`` and ``predict_proba_one``.
    """

    name: str
    stamp: str
    play: Callable[[Table, DataSet, np.ndarray, int], Run] | None = None
    classifier: Callable[[], Any] | None = None

    def takes(self, data_set: DataSet) -> bool:
        """Whether it plays this data set."""
        if data_set.ours_alone and self.name != OURS:
            return False
        return (self.classifier if data_set.kind == "conversion" else self.play) is not None


def contenders() -> tuple[list[Contender], dict[str, str]]:
    """Those that can play here, ours first; and (library, why) of those that cannot."""
    found = [Contender(OURS, _stamp_of_ours(), _ours, make_conversion_model)]
    absent = {}
    for library, make in (("vowpalwabbit", _vw), ("mabwiser", _mabwiser), ("river", _river)):
        try:
            found += make()
        except ImportError as error:
            absent[library] = f"{error}; {INSTALL}"
    return found, absent


def _ours(table: Table, data_set: DataSet, order: np.ndarray, seed: int) -> Run:
    """Exactly what ``nextbest simulate`` does with these options."""
    settings = PlaySettings(
        PolicySpec(name="default"),
        reward_range=data_set.reward_range,
        delay=data_set.delay,
        update_every=data_set.update_every,
    )
    return play(table, settings, order, seed)


def _theirs(make: Callable[[Table, int], Any]) -> Callable[[Table, DataSet, np.ndarray, int], Run]:
    return lambda table, data_set, order, seed: play_contender(table, data_set, make(table, seed), order)


def _named(player: Callable[[Table, str, int], Any], name: str) -> Callable[[Table, int], Any]:
    return lambda table, seed: player(table, name, seed)


def _vw() -> Iterator[Contender]:
    module = importlib.import_module("benchmarks.quality.vw_players")
    for name in module.ARGUMENTS:
        yield Contender(name, f"{module.VERSION} {_source(module)}", _theirs(_named(module.VwPlayer, name)))
    for name in module.CLASSIFIERS:
        classifier = partial(module.VwClassifier, name)
        yield Contender(name, f"{module.VERSION} {_source(module)}", classifier=classifier)


def _mabwiser() -> Iterator[Contender]:
    module = importlib.import_module("benchmarks.quality.mabwiser_players")
    for name in module.POLICIES:
        yield Contender(name, f"{module.VERSION} {_source(module)}", _theirs(_named(module.MabwiserPlayer, name)))


def _river() -> Iterator[Contender]:
    module = importlib.import_module("benchmarks.quality.river_players")
    for name, make in module.PLAYERS.items():
        yield Contender(name, f"{module.VERSION} {_source(module)}", _theirs(make))
    for name, classifier in module.CLASSIFIERS.items():
        yield Contender(name, f"{module.VERSION} {_source(module)}", classifier=classifier)


def _source(module: Any) -> str:
    return _digest([Path(module.__file__)])


def _stamp_of_ours() -> str:
    folders = [Path(operations.simulation.play.__file__).parent]
    folders += [Path(next(iter(package.__path__))) for package in (online_models, personalization)]
    return _digest(sorted(path for folder in folders for path in folder.rglob("*.py")))


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
