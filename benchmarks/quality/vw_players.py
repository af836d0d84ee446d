"""Vowpal Wabbit: contextual bandits with action-dependent features, arm by context crossed (``-q sa``).

*Crossed* has the products of every two features besides. Numbers are standardised online: of 50 configurations
tried on parts of digits, segments, satellite, news and lowrate that did most for VW (news .86 → .91, digits .68 →
.72), beside its default learning rate.

Names of numeric features get a letter in front: a name that is a number is taken for an index, columns collide,
and VW looks far worse than it is.
"""

from __future__ import annotations

import numpy as np
import vowpalwabbit
from river import preprocessing
from vowpalwabbit import Workspace

from operations.simulation.table import Table
from personalization.features import Features

VERSION: str = vowpalwabbit.__version__

COMMON = "--quiet --cb_explore_adf --interactions sa --ignore_linear s"
ARGUMENTS = {
    "vw squarecb": ("--squarecb", 0.0),
    "vw squarecb crossed": ("--squarecb --interactions ssa -b 22", 0.0),
    "vw regcbopt": ("--regcbopt --mellowness 0.01", 1.0),
    "vw epsilon 0.05": ("--epsilon 0.05", 0.0),
}
"""Name → arguments, and the cost of a reward of 0: regcb's optimism expects costs within [0, 1]."""

CLASSIFIERS = {"vw logistic": "", "vw logistic crossed": "-q xx"}


class VwPlayer:
    """One policy of VW."""

    def __init__(self, table: Table, name: str, seed: int) -> None:
        arguments, self._worst_cost = ARGUMENTS[name]
        self._vw = Workspace(f"{COMMON} {arguments} --random_seed {seed + 1}")
        self._arms = [f"|a arm_{index}" for index in range(len(table.arms))]
        self._rng = np.random.default_rng(seed)
        self._scaled = _Scaled()

    def choose(self, context: Features) -> tuple[int, float]:
        """Drawn from VW's own distribution."""
        text = self._scaled.see(context)
        p = np.array(self._vw.predict([f"shared |s {text}", *self._arms]))
        p /= p.sum()
        arm = int(self._rng.choice(len(p), p=p))
        return arm, float(p[arm])

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """VW minimises costs."""
        lines = list(self._arms)
        lines[arm] = f"0:{self._worst_cost - reward:.6g}:{probability:.6g} {lines[arm]}"
        self._vw.learn([f"shared |s {self._scaled.seen(context)}", *lines])


class _Scaled:
    """Contexts as VW reads them, numbers standardised by the rows seen so far: chosen by and learned the same."""

    def __init__(self) -> None:
        self._scaler = preprocessing.StandardScaler()
        self._pending: dict[int, str] = {}

    def see(self, context: Features) -> str:
        numbers = {name: value for name, value in context.items() if isinstance(value, float)}
        self._scaler.learn_one(numbers)
        scaled = {name: max(-5.0, min(5.0, z)) for name, z in self._scaler.transform_one(numbers).items() if z}
        text = features_text({**scaled, **{n: v for n, v in context.items() if isinstance(v, str)}})
        self._pending[id(context)] = text
        return text

    def seen(self, context: Features) -> str:
        return self._pending.pop(id(context))


class VwClassifier:
    """VW's logistic regression as a conversion model."""

    def __init__(self, name: str) -> None:
        self._vw = Workspace(f"--quiet --loss_function logistic --link logistic {CLASSIFIERS[name]}")

    def predict_proba_one(self, x: Features) -> dict[bool, float]:
        """River's protocol."""
        p = float(self._vw.predict(f"|x {features_text(x)}"))
        return {True: p, False: 1 - p}

    def learn_one(self, x: Features, y: bool) -> None:
        """River's protocol."""
        self._vw.learn(f"{1 if y else -1} |x {features_text(x)}")


def features_text(context: Features) -> str:
    """A context as VW reads it.

    >>> features_text({"0": 2.5, "zip code": "a|b: c"})
    'x0:2.5 xzip_code=a_b__c'
    """
    parts = []
    for name, value in context.items():
        if isinstance(value, str):
            parts.append(_plain(f"x{name}={value}"))
        else:
            parts.append(f"{_plain(f'x{name}')}:{value:.6g}")
    return " ".join(parts)


def _plain(text: str) -> str:
    return "".join("_" if letter in " |:\t\n" else letter for letter in text)
