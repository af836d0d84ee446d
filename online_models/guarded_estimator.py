"""A River estimator behind guards: encoded input, and a way back from an example that it cannot take."""

from __future__ import annotations

import logging
import pickle
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from online_models.bringers import Bringers
from online_models.encoder import Encoder
from online_models.frozen_encoder import FrozenEncoder
from online_models.handing_on import handed_on, present
from online_models.reward_model import Float32Array, FloatArray
from online_models.waiting_names import Name

logger = logging.getLogger(__name__)

REFRESH = 64
"""Examples between two freezings of the encoder's scaling, once it has settled."""

OF_COUNTS = frozenset({"MultinomialNB", "ComplementNB"})
"""River's estimators over counts: they take the logarithm of what they add up, and a z-score is negative half of
the time."""

LessonT = TypeVar("LessonT")


class Mark(NamedTuple):
    """Where a guarded estimator's own books stood."""

    encoder: dict[str, Any]
    frozen: FrozenEncoder
    n_present: FloatArray
    n_learned: int


class GuardedEstimator(ABC, Generic[LessonT]):
    """What a reward model and a conversion model over a River estimator share.

    Learning is all or nothing. An estimator that raises may be half changed: it goes back to its last good copy and
    learns again what came since, but for the example that it cannot take. One that gives no finite number any more
    goes back to that copy alone, since what came after it is what it broke on. Both cost a few hundred bytes an
    example, and no time until they happen.

    Parameters
    ----------
    estimator
        Not yet trained.
    max_dims
        Bound on encoded features.
    free_dims
        So many of them need not be earned (``Encoder``). An estimator keeps what it knows by dimension, so that
        none is given back but those that next to nobody ever named (``handing_on``).
    """

    good_copy_every: ClassVar[int]
    """Examples between two copies to fall back on."""

    def __init__(self, estimator: Any, max_dims: int, free_dims: int) -> None:
        self.estimator = estimator
        self.n_learned = 0
        self.n_rollbacks = 0
        self._encoder = Encoder(max_dims, free_dims, admits=max_dims > free_dims)
        self._frozen = self._encoder.freeze()
        self._n_present: FloatArray = np.zeros(0)
        """Examples that named each dimension, shape (d,)."""
        self._last_good: bytes | None = pickle.dumps(estimator)
        """None: as it was loaded."""
        self._since: list[LessonT] = []
        """What it has learned since that copy was made."""
        self.complaint: str | None = None
        """Why it could not answer, the first time that it could not."""

    # For who learns

    def _mark(self) -> Mark:
        return Mark(self._encoder.mark(), self._frozen, self._n_present, self.n_learned)

    def _meet(self, context: Mapping[Any, Any], unit: bytes = b"") -> None:
        """One more example, of the person with this hash: its features are encoded from now on."""
        raw = self._encoder.learn(context, unit)
        self.n_learned += 1
        named = present(self._encoder, raw)
        self._n_present = np.append(self._n_present, np.zeros(len(raw) - len(self._n_present))) + named
        if not self.n_learned % REFRESH:
            self._hand_on()
        if self._encoder.n_dims != self._frozen.n_dims or self.n_learned <= REFRESH or not self.n_learned % REFRESH:
            self._frozen = self._encoder.freeze()

    def forget(self, units: Collection[bytes]) -> None:
        """Persons with these units are erased: names and levels that nobody else has brought go.

        The estimator keeps what it knows by dimension; those dimensions are handed on.
        """
        dims = self._encoder.forget(units)
        if len(dims):
            self._release(dims)
            self._frozen = self._encoder.freeze()

    def brought_by_few(self) -> set[Name]:
        """Names and levels of features that no more than ``MAX_BRINGERS`` units have brought."""
        return self._encoder.bringers.names()

    def _hand_on(self) -> None:
        self._release(handed_on(self._encoder, self._n_present))

    def _release(self, dims: NDArray[np.intp]) -> None:
        if len(dims):
            self._encoder.release(dims)
            self._n_present[dims] = 0.0

    def _forget(self, mark: Mark) -> None:
        """The example met last was never met."""
        encoder, self._frozen, self._n_present, self.n_learned = mark
        self._encoder.back_to(encoder)

    def _learn(self, lesson: LessonT, features: dict[str, float]) -> None:
        """Teach the estimator. If it raises, it is as it was before, and the exception goes on.

        If it is no longer sound, it is as at its last good copy, and that is counted.

        Parameters
        ----------
        features
            Those of the lesson.
        """
        if self._last_good is None:
            self._last_good = pickle.dumps(self.estimator)
        copy: bytes | None = None
        try:
            self._teach(lesson, features)
            sound = self._is_sound(features)
            if sound and len(self._since) + 1 >= self.good_copy_every:
                copy = pickle.dumps(self.estimator)
        except Exception:
            self._learn_again(self._last_good)
            raise
        if not sound:
            self.estimator, self._since = pickle.loads(self._last_good), []
            self.n_rollbacks += 1
        elif copy is not None:
            self._last_good, self._since = copy, []
        else:
            self._since.append(lesson)

    def _learn_again(self, last_good: bytes) -> None:
        self.estimator = pickle.loads(last_good)
        try:
            for lesson in self._since:
                self._teach(lesson, self._features_of(lesson))
            self._last_good = pickle.dumps(self.estimator)  # so that the next time costs less
        except Exception:
            # It does not do the same twice: the copy is what is known to be good.
            logger.warning("estimator_not_repeatable", extra={"estimator": type(self.estimator).__name__})
            self.estimator, self._last_good = pickle.loads(last_good), last_good
        self._since = []

    @abstractmethod
    def _features_of(self, lesson: LessonT) -> dict[str, float]:
        """What the estimator sees of a lesson, however much was learned since."""

    @abstractmethod
    def _teach(self, lesson: LessonT, features: dict[str, float]) -> None:
        """Let the estimator learn; nothing else changes."""

    @abstractmethod
    def _is_sound(self, features: dict[str, float]) -> bool:
        """Whether the estimator still gives finite numbers, to this very example at least."""

    # For who predicts

    def _inputs(self, z: Float32Array) -> dict[str, float]:
        """The encoded context by name; in two halves, up and down, for an estimator of counts."""
        if type(self.estimator).__name__ not in OF_COUNTS:
            return {f"z{i}": value for i, value in enumerate(z.tolist())}
        inputs: dict[str, float] = {}
        for i, value in enumerate(z.tolist()):
            inputs[f"z{i}"], inputs[f"-z{i}"] = max(0.0, value), max(0.0, -value)
        return inputs

    def _cannot_answer(self, error: Exception) -> None:
        """Say so once: what the mean says is answered instead."""
        if self.complaint is None:
            self.complaint = f"{type(error).__name__}: {error}"
            logger.warning(
                "estimator_cannot_answer",
                extra={"estimator": type(self.estimator).__name__, "reason": self.complaint},
            )

    # Checkpoints

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_last_good", "_since")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._last_good, self._since = None, []
        # What was pickled before dimensions were handed on counted nothing: what it has, it keeps.
        self.__dict__.setdefault("_n_present", np.full(self._encoder.n_dims, np.inf))
        self._encoder.__dict__.setdefault("_free", ())
        self._encoder.__dict__.setdefault("bringers", Bringers())

    def dump(self) -> bytes:
        """Everything, pickled: load it only behind a MAC and under the same River version."""
        return pickle.dumps(self)

    @classmethod
    def load(cls, payload: bytes) -> Self:
        """The inverse of ``dump``: authenticate the payload first."""
        loaded = pickle.loads(payload)
        if not isinstance(loaded, cls):
            raise TypeError(f"not a {cls.__name__}: {type(loaded)}")
        return loaded
