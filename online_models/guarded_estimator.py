"""A River estimator behind guards: encoded input, and a last good copy to go back to where it breaks."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from online_models.encoder import Encoder

REFRESH = 64
"""Examples between two freezings of the encoder's scaling, once it has settled."""


class GuardedEstimator:
    """What a reward model and a conversion model over a River estimator share.

    Parameters
    ----------
    estimator
        Not yet trained.
    max_dims
        Bound on encoded features.
    """

    good_copy_every: ClassVar[int]
    """Examples between two copies to fall back on."""

    def __init__(self, estimator: Any, max_dims: int) -> None:
        self.estimator = estimator
        self.n_learned = 0
        self.n_rollbacks = 0
        self._encoder = Encoder(max_dims)
        self._frozen = self._encoder.freeze()
        self._last_good = pickle.dumps(estimator)

    def _meet(self, context: Mapping[Any, Any]) -> None:
        """One more example: its features are encoded from now on."""
        self._encoder.learn(context)
        self.n_learned += 1
        if self._encoder.n_dims != self._frozen.n_dims or self.n_learned <= REFRESH or not self.n_learned % REFRESH:
            self._frozen = self._encoder.freeze()

    def _keep_or_roll_back(self, *, sound: bool) -> None:
        """After learning: an estimator that is not sound goes back to its last good copy."""
        if not sound:
            self.estimator = pickle.loads(self._last_good)
            self.n_rollbacks += 1
        elif not self.n_learned % self.good_copy_every:
            self._last_good = pickle.dumps(self.estimator)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_last_good"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._last_good = pickle.dumps(self.estimator)

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
