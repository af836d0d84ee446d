"""What the learner keeps for one conversion: the model that serves, its challenger, and how good it was."""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

import river

from online_models.conversion.challenger import Trial, Verdict
from online_models.conversion.cohort import ID_BYTES, Cohort
from online_models.conversion.contender import Contender
from online_models.conversion.metrics import Scorecard
from personalization.example import Example, Stage
from personalization.features import FeatureValue, clean
from personalization.policy_spec import ModelSpec

RECENT_IDS = 32_768
"""Records remembered by id, 8 bytes each: one emitted twice by a folder that died lies well within."""


class ConversionBook:
    """A conversion's models and its books. Deterministic: the same records in the same order, the same book.

    Parameters
    ----------
    conversion
        Its name in the catalog.
    model
        Name or spec of the model it begins with.

    Examples
    --------
    >>> book = ConversionBook("buys_soon")
    >>> start = Example("e1", "buys_soon", Stage.OPENED, 0, 0, features={"pages": 3.0})
    >>> end = Example("e1", "buys_soon", Stage.CLOSED, 0, 7, label=True, features={"pages": 3.0})
    >>> book.learn(start), book.learn(end), book.learn(end)
    ('served', 'learned', 'duplicate')
    >>> book.scorecard().rows
    1
    """

    def __init__(self, conversion: str, model: ModelSpec | str = "default") -> None:
        self.conversion = conversion
        self.spec = ModelSpec(model) if isinstance(model, str) else model
        self.champion = Contender(self.spec)
        self.challenger: Contender | None = None
        self.challenger_id = ""
        self.trial = Trial()
        self.cohort = Cohort()
        self.counts: Counter[str] = Counter()
        """Records by what became of them: served, learned, judged, duplicate, invalid."""
        self.verdicts: Counter[str] = Counter()
        """Challengers by what became of them: entered, promote, retire, replaced."""
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    @property
    def n_learned(self) -> int:
        """Records that changed what is served."""
        return self.counts["learned"] + self.counts["judged"]

    @property
    def adaptations(self) -> dict[str, int]:
        """What the model that serves did about itself: times it went back to its last good copy."""
        return {"rollbacks": self.champion.n_rollbacks}

    def learn(self, example: Example) -> str:
        """Take in one record; what became of it.

        ``served``: a prediction waits for its label. ``learned``: the model learned. ``judged``: a label that was
        learned early arrived for good. ``duplicate``, ``invalid``: nothing.
        """
        result = self._learn(example)
        self.counts[result] += 1
        return result

    def _learn(self, example: Example) -> str:
        if not self._is_news(example.record_id):
            return "duplicate"
        if example.conversion != self.conversion:
            return "invalid"
        x = _usable(example.features)
        key = _short(example.example_id)
        if example.stage is Stage.OPENED:
            self.cohort.serve(key, self.champion.predict(x), example.opened_at_ms)
            if not example.early:
                return "served"
            for contender in self._contenders():
                contender.begin(x)
            return "learned"
        if example.stage is Stage.CONVERTED:
            for contender in self._contenders():
                contender.convert(x)
            return "learned"
        self.cohort.close(key, example.label, example.opened_at_ms)
        self._judge(x, example.label)
        for contender in self._contenders():
            contender.mature(x, example.label, teach=not example.early)
        return "judged" if example.early else "learned"

    def scorecard(self) -> Scorecard:
        """AUC, log loss and calibration of what was served to the newest matured examples."""
        return self.cohort.scorecard()

    # Contests

    def challenge(self, challenger: Contender, challenger_id: str) -> bool:
        """Let a retrained model compete from the next example on; False where it has been here before."""
        if not self._is_news(f"{challenger_id}/challenge"):
            return False
        if self.challenger is not None:
            self.verdicts["replaced"] += 1
        self.challenger, self.challenger_id, self.trial = challenger, challenger_id, Trial()
        self.verdicts["entered"] += 1
        return True

    def _judge(self, x: dict[str, FeatureValue], label: bool) -> None:
        """Both on this label, before either learns it; the winner serves from the next example on."""
        if self.challenger is None:
            return
        verdict = self.trial.observe(self.champion.predict(x), self.challenger.predict(x), label)
        if verdict is Verdict.UNDECIDED:
            return
        self.verdicts[verdict.value] += 1
        if verdict is Verdict.PROMOTE:
            self.champion = self.challenger
        self.challenger = None

    def _contenders(self) -> Iterable[Contender]:
        return (self.champion,) if self.challenger is None else (self.champion, self.challenger)

    def _is_news(self, record_id: str) -> bool:
        key = _short(record_id)
        if key in self._recent:
            return False
        self._recent[key] = None
        if len(self._recent) > RECENT_IDS:
            self._recent.popitem(last=False)
        return True

    # Checkpoints

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        return {
            "conversion": self.conversion,
            "spec": [self.spec.name, dict(self.spec.params)],
            "champion": self.champion.dump(),
            "challenger": None if self.challenger is None else self.challenger.dump(),
            "challenger_id": self.challenger_id,
            "trial": self.trial.dump(),
            "cohort": self.cohort.dump(),
            "counts": dict(self.counts),
            "verdicts": dict(self.verdicts),
            "recent": b"".join(self._recent),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ConversionBook:
        """The inverse of ``dump``. Unpickles River estimators: authenticate first."""
        book = cls(state["conversion"], ModelSpec(*state["spec"]))
        book.champion = Contender.load(state["champion"])
        book.challenger = None if state["challenger"] is None else Contender.load(state["challenger"])
        book.challenger_id, book.trial = state["challenger_id"], Trial.load(state["trial"])
        book.cohort = Cohort.load(state["cohort"])
        book.counts, book.verdicts = Counter(state["counts"]), Counter(state["verdicts"])
        recent = state["recent"]
        book._recent = OrderedDict((recent[at : at + ID_BYTES], None) for at in range(0, len(recent), ID_BYTES))
        return book

    def schema(self) -> str:
        """What a checkpoint must agree with to be loaded; a promoted challenger changes none of it."""
        return repr((self.conversion, self.spec, river.__version__))


def _usable(features: dict[str, FeatureValue]) -> dict[str, FeatureValue]:
    cleaned = ((name, clean(value)) for name, value in features.items())
    return {name: value for name, value in cleaned if value is not None}


def _short(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()
