"""The encoder as deciders hold it: a layout and a scaling, immutable."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import Float32Array, FloatArray
from personalization.features import MAX_MAGNITUDE, clean

CLIP = 5.0
"""z-scores end here: one absurd value must not outweigh a thousand sane ones."""

N_HASHED = 16
"""Dimensions shared by whatever came after the bound was reached."""


class EncoderState(msgspec.Struct, frozen=True):
    """A frozen encoder on the wire: the layout and two numbers per dimension."""

    numeric: dict[str, int]
    missing: dict[str, int]
    levels: dict[str, dict[str, int]]
    mean: bytes
    inverse_sd: bytes
    absent: bytes
    hashed_from: int


class FrozenEncoder:
    """What a decider needs to encode one context: immutable, about a microsecond per feature.

    Parameters
    ----------
    numeric, missing
        Name → dimension of its value, and of its "was missing" flag where there is one.
    levels
        Name → level → dimension.
    mean, inverse_sd
        Shape (d,), float64; ``inverse_sd`` is 0 for a dimension that never varied.
    absent
        Shape (d,), float64: raw value where a context does not name the dimension; NaN: its mean.
    hashed_from
        First of the ``N_HASHED`` shared dimensions, or −1.
    """

    __slots__ = ("_empty", "absent", "base", "hashed_from", "inverse_sd", "levels", "mean", "missing", "numeric")

    def __init__(
        self,
        numeric: dict[str, int],
        missing: dict[str, int],
        levels: dict[str, dict[str, int]],
        mean: FloatArray,
        inverse_sd: FloatArray,
        absent: FloatArray,
        hashed_from: int = -1,
    ) -> None:
        self.numeric, self.missing, self.levels = numeric, missing, levels
        self.mean, self.inverse_sd, self.absent, self.hashed_from = mean, inverse_sd, absent, hashed_from
        raw = np.where(np.isnan(absent), mean, absent)
        self._empty = array("d", raw.tobytes())
        self.base = np.clip((raw - mean) * inverse_sd, -CLIP, CLIP).astype(np.float32)

    @property
    def n_dims(self) -> int:
        """Width d of what ``encode`` gives."""
        return int(self.mean.shape[0])

    def encode(self, features: Mapping[Any, Any]) -> Float32Array:
        """The context as d finite numbers in [−5, 5]; unknown names and unusable values are ignored.

        >>> from online_models.encoder import Encoder
        >>> encoder = Encoder()
        >>> for age in (20, 30, 40):
        ...     _ = encoder.learn({"age": age, "device": "phone"})
        >>> z = encoder.freeze().encode({"age": float("nan"), "device": "phone"})
        >>> bool(np.isfinite(z).all())
        True
        """
        return self._clipped(np.frombuffer(self._raw(features)) - self.mean)

    def encode_all(self, contexts: Sequence[Mapping[Any, Any]]) -> Float32Array:
        """``encode`` for each of B contexts: shape (B, d)."""
        rows = [self._raw(features) for features in contexts]
        raw: FloatArray = np.frombuffer(b"".join(rows)).reshape(len(rows), len(self._empty))
        return self._clipped(raw - self.mean)

    def _raw(self, features: Mapping[Any, Any]) -> array[float]:
        row = self._empty[:]
        fill(row, features, self.numeric, self.missing, self.levels, self.hashed_from)
        return row

    def _clipped(self, distance: FloatArray) -> Float32Array:
        distance *= self.inverse_sd
        np.minimum(np.maximum(distance, -CLIP, out=distance), CLIP, out=distance)
        return distance.astype(np.float32)

    def scale_one(self, raw: FloatArray) -> Float32Array:
        """``scale`` of one row of the full width: shape (d,), (d,), with fewer calls."""
        z = self._clipped(raw - self.mean)
        if not z.dot(z) >= 0.0:
            np.copyto(z, self.base, where=np.isnan(z))
        return z

    def scale(self, raw: FloatArray | Float32Array) -> Float32Array:
        """z-scores of raw rows as ``Encoder.learn`` gives them: shape (n, r) → (n, d), NaN where missing.

        Rows from before a dimension existed (r < d) count as without it.
        """
        n_known = min(raw.shape[1], self.n_dims)
        raw = raw[:, :n_known]
        z = np.empty((len(raw), self.n_dims), np.float32)
        z[:, n_known:] = self.base[n_known:]
        scaled = raw - self.mean[:n_known]
        scaled *= self.inverse_sd[:n_known]
        np.minimum(np.maximum(scaled, -CLIP, out=scaled), CLIP, out=scaled)
        if np.isnan(scaled.sum()):
            np.copyto(scaled, self.base[:n_known], where=np.isnan(scaled))
        z[:, :n_known] = scaled
        return z

    def with_scaling_of(self, before: FrozenEncoder, n: int) -> FrozenEncoder:
        """The same layout, the first ``n`` dimensions scaled as they were ``before``."""
        if not n:
            return self
        mean, inverse_sd = self.mean.copy(), self.inverse_sd.copy()
        mean[:n], inverse_sd[:n] = before.mean[:n], before.inverse_sd[:n]
        return FrozenEncoder(
            self.numeric, self.missing, self.levels, mean, inverse_sd, self.absent, self.hashed_from
        )

    def relaid(self, layout: FrozenEncoder, kept: NDArray[np.intp]) -> FrozenEncoder:
        """Another layout, whose dimensions are those ``kept`` of this one, scaled as they are here."""
        return FrozenEncoder(
            layout.numeric,
            layout.missing,
            layout.levels,
            self.mean[kept],
            self.inverse_sd[kept],
            self.absent[kept],
            layout.hashed_from,
        )

    def state(self) -> EncoderState:
        """For the wire."""
        return EncoderState(
            self.numeric,
            self.missing,
            self.levels,
            self.mean.tobytes(),
            self.inverse_sd.tobytes(),
            self.absent.tobytes(),
            self.hashed_from,
        )

    @classmethod
    def from_state(cls, state: EncoderState) -> FrozenEncoder:
        """The inverse of ``state``."""
        return cls(
            state.numeric,
            state.missing,
            state.levels,
            np.frombuffer(state.mean, np.float64),
            np.frombuffer(state.inverse_sd, np.float64),
            np.frombuffer(state.absent, np.float64),
            state.hashed_from,
        )

    def dump(self) -> bytes:
        """For a checkpoint."""
        return msgspec.msgpack.encode(self.state())

    @classmethod
    def load(cls, data: bytes) -> FrozenEncoder:
        """The inverse of ``dump``."""
        return cls.from_state(msgspec.msgpack.decode(data, type=EncoderState))


def fill(
    row: array[float],
    features: Mapping[Any, Any],
    numeric: dict[str, int],
    missing: dict[str, int],
    levels: dict[str, dict[str, int]],
    hashed_from: int,
) -> None:
    """Write a context's raw values over those of an empty one.

    Into an ``array`` and not into numpy's: setting one item of it costs a third.
    """
    shared: dict[int, float] = {}
    dim_of = numeric.get
    for name, value in features.items():
        if type(value) is float and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:  # not NaN; most features end here
            dim = dim_of(name)
            if dim is not None:
                row[dim] = value
                if missing and name in missing:
                    row[missing[name]] = 0.0
                continue
            usable: float | str = value
        else:
            cleaned = clean(value)
            if cleaned is None:
                continue
            usable = cleaned
        if isinstance(usable, str):
            by_level = levels.get(name)
            dim = by_level.get(usable) if by_level is not None else None
            amount = 1.0
        else:
            dim = numeric.get(name)
            amount = usable
        if dim is not None:
            row[dim] = amount
            if amount is usable and name in missing:
                row[missing[name]] = 0.0
        elif hashed_from >= 0:
            text = f"{name}={usable}" if isinstance(usable, str) else str(name)
            digest = zlib.crc32(text.encode("utf-8", "surrogatepass"))
            dim = hashed_from + digest % N_HASHED
            shared[dim] = shared.get(dim, 0.0) + (amount if digest & 0x100 else -amount)
    for dim, amount in shared.items():
        row[dim] = amount
