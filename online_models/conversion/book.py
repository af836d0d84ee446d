"""What the learner keeps for one conversion: the model that serves, its challenger, and how good it was."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from online_models.conversion.challenger import Trial, Verdict
from online_models.conversion.cohort import ID_BYTES, Cohort
from online_models.conversion.contender import Contender
from online_models.conversion.metrics import Scorecard
from online_models.envelope import river_version
from personalization.catalog.policy_spec import ModelSpec
from personalization.events.example import Example, Stage
from personalization.features import FeatureValue, clean

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

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
        """Records by what became of them: served, learned, judged, duplicate, invalid. And forgotten:
        times that somebody was erased."""
        self.verdicts: Counter[str] = Counter()
        """Challengers by what became of them: entered, promote, retire, replaced, failed."""
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    @property
    def n_learned(self) -> int:
        """Records that changed what is served."""
        return self.counts["learned"] + self.counts["judged"] + self.counts["forgotten"]

    @property
    def adaptations(self) -> dict[str, int]:
        """What the model that serves did about itself: times it went back to its last good copy."""
        return {"rollbacks": self.champion.n_rollbacks}

    def learn(self, example: Example) -> str:
        """Take in one record; what became of it.

        ``served``: a prediction waits for its label. ``learned``: the model learned. ``judged``: a label that was
        learned early arrived for good. ``duplicate``, ``invalid``: nothing.

        If the model that serves raises, its exception is raised and nothing has changed: the record can be learned
        again later. A challenger that raises has lost.
        """
        record = _short(example.record_id)
        result = "duplicate"
        if record not in self._recent:
            result = self._learn(example) if example.conversion == self.conversion else "invalid"
            self._remember(record)
        self.counts[result] += 1
        return result

    def _learn(self, example: Example) -> str:
        """What the champion does comes first: it may raise. Books, and the challenger, come after it."""
        x = _usable(example.features)
        key = _short(example.example_id)
        if example.stage is Stage.OPENED:
            served = self.champion.predict(x)
            if example.early:
                self.champion.begin(x, example.unit)
                self._challenger_does(lambda challenger: challenger.begin(x, example.unit))
            self.cohort.serve(key, served, example.opened_at_ms)
            return "learned" if example.early else "served"
        if example.stage is Stage.CONVERTED:
            self.champion.convert(x, example.unit)
            self._challenger_does(lambda challenger: challenger.convert(x, example.unit))
            return "learned"
        served = self.champion.predict(x) if self.challenger is not None else 0.0
        self.champion.mature(x, example.label, example.unit, teach=not example.early)
        self.cohort.close(key, example.label, example.opened_at_ms)
        self._judge(x, example, served)
        return "judged" if example.early else "learned"

    def forget(self, units: Collection[bytes]) -> bool:
        """Persons with these units are erased; False where nothing was learned yet.

        Predictions that wait for a label stay: a probability each, under a hash that no other record tells of.
        """
        if not self.counts.total():
            return False
        self.champion.forget(units)
        self._challenger_does(lambda challenger: challenger.forget(units))
        self.counts["forgotten"] += 1
        return True

    def scorecard(self) -> Scorecard:
        """AUC, log loss and calibration of what was served to the newest matured examples."""
        return self.cohort.scorecard()

    # Contests

    def challenge(self, challenger: Contender, challenger_id: str) -> bool:
        """Let a retrained model compete from the next example on; False where it has been here before."""
        record = _short(f"{challenger_id}/challenge")
        if record in self._recent:
            return False
        self._remember(record)
        if self.challenger is not None:
            self.verdicts["replaced"] += 1
        self.challenger, self.challenger_id, self.trial = challenger, challenger_id, Trial()
        self.verdicts["entered"] += 1
        return True

    def _judge(self, x: dict[str, FeatureValue], example: Example, served: float) -> None:
        """Both on this label, as they were before either learned it; the winner serves from the next example on."""
        foretold = self._challenger_does(lambda challenger: challenger.predict(x))
        if foretold is None:
            return
        verdict = self.trial.observe(served, foretold, example.label)
        if verdict is not Verdict.RETIRE:
            self._challenger_does(
                lambda challenger: challenger.mature(x, example.label, example.unit, teach=not example.early)
            )
        if self.challenger is None or verdict is Verdict.UNDECIDED:
            return
        self.verdicts[verdict.value] += 1
        if verdict is Verdict.PROMOTE:
            self.champion = self.challenger
        self.challenger = None

    def _challenger_does(self, what: Callable[[Contender], ResultT]) -> ResultT | None:
        """Let it do so, if there is one; if it raises, there is none any more."""
        if self.challenger is None:
            return None
        try:
            return what(self.challenger)
        except Exception:
            logger.exception(
                "challenger_failed", extra={"conversion": self.conversion, "challenger": self.challenger_id}
            )
            self.challenger = None
            self.verdicts["failed"] += 1
            return None

    def _remember(self, record: bytes) -> None:
        self._recent[record] = None
        if len(self._recent) > RECENT_IDS:
            self._recent.popitem(last=False)

    # Checkpoints

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        return {
            "conversion": self.conversion,
            "spec": [self.spec.name, dict(self.spec.params)],
            "champion": self.champion.dump(),
            "challenger": None if self.challenger is None else self.challenger.dump(),
            "challenger_river": self._challengers_river(),
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
        book.challenger_id, book.trial = state["challenger_id"], Trial.load(state["trial"])
        book.cohort = Cohort.load(state["cohort"])
        book.counts, book.verdicts = Counter(state["counts"]), Counter(state["verdicts"])
        if state["challenger"] is not None:
            book._let_in(state["challenger"], state["challenger_river"])
        recent = state["recent"]
        book._recent = OrderedDict((recent[at : at + ID_BYTES], None) for at in range(0, len(recent), ID_BYTES))
        return book

    def schema(self) -> str:
        """What a checkpoint must agree with to be loaded; a promoted challenger changes none of it."""
        return repr((self.conversion, self.spec))

    @property
    def holds_river(self) -> bool:
        """Whether what serves is a River object, which another version of River may not be able to load.

        A challenger that is one binds nothing: under another version it is left out.
        """
        return self.champion.holds_river

    def _challengers_river(self) -> str:
        return river_version(holds_river=self.challenger is not None and self.challenger.holds_river)

    def _let_in(self, challenger: dict[str, Any], river: str) -> None:
        """Go on with the challenger of a checkpoint, if this version of River can be expected to load it."""
        if river in ("", river_version(holds_river=True)):
            self.challenger = Contender.load(challenger)
            return
        self.verdicts["failed"] += 1
        logger.warning("challenger_left_out", extra={"conversion": self.conversion, "river": river})


def _usable(features: dict[str, FeatureValue]) -> dict[str, FeatureValue]:
    cleaned = ((name, clean(value)) for name, value in features.items())
    return {name: value for name, value in cleaned if value is not None}


def _short(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=ID_BYTES).digest()
