"""Which names have a dimension of a model, how they are scaled, and who makes way where there are too many."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.making_way import EFFECT_ROWS, effects, kept_dims
from online_models.adaptive.row_buffer import RowBuffer
from online_models.encoder import FREE_DIMS, Encoder
from online_models.frozen_encoder import FrozenEncoder

GROWTH = 16

MAX_LINEAR_FLOATS = 8 << 20
"""Of P over all arms (32 MB) up to which they may be wider than ``FREE_DIMS``: 400 dimensions up to 32 arms,
352 up to 64, 240 up to 128; a thousand arms have 160, 104 MB."""

ARMS_STEP = 32
"""Arms are taken for so many at once: else every new one would take a dimension or two."""


class Dimensions:
    """The encoder that learns, and the one in use.

    Attributes
    ----------
    frozen
        The one in use, as it was taken over last.
    settled
        Of so many dimensions, the first ones, the scaling stays as it is.
    given_back
        Dimensions taken from names to make way for others.
    """

    def __init__(self, encoder: Encoder, frozen: FrozenEncoder | None = None, settled: int = 0) -> None:
        self.encoder = encoder
        self.frozen = encoder.freeze() if frozen is None else frozen
        self.settled = settled
        self.given_back = 0

    def bound(self, n_arms: int) -> bool:
        """So many arms must have room: whether there are too many dimensions for that now."""
        n_arms = -(-n_arms // ARMS_STEP) * ARMS_STEP
        bearable = (math.isqrt(MAX_LINEAR_FLOATS // n_arms) - 1) // GROWTH * GROWTH
        encoder = self.encoder
        encoder.limit = min(encoder.limit, max(FREE_DIMS, bearable))
        return self.n_over > 0

    @property
    def n_over(self) -> int:
        """So many dimensions are too many."""
        return max(0, self.encoder.n_dims - self.encoder.limit)

    def worth_keeping(
        self, regressions: ArmRegressions, buffer: RowBuffer, first_row: int
    ) -> NDArray[np.intp] | None:
        """The dimensions that stay where some bring little and names wait for one; None: all of them."""
        encoder, n_over = self.encoder, self.n_over
        if not n_over and (not len(encoder.waiting) or encoder.n_dims + encoder.n_wanted <= encoder.limit):
            return None
        raw, arm, _ = buffer.rows(max(buffer.oldest, first_row, buffer.n - EFFECT_ROWS), buffer.n)
        raw, arm = raw[arm >= 0], arm[arm >= 0]
        kept = kept_dims(encoder, effects(regressions, raw, arm), raw, n_over)
        return None if len(kept) == encoder.n_dims else kept

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these dimensions stay."""
        self.encoder.select(kept)
        self.settled = int((kept < self.settled).sum())
        self.frozen = self.frozen.relaid(self.encoder.freeze(), kept)

    def refresh(self, keep_scaling: bool) -> FrozenEncoder:
        """Take over the running statistics of names that came since the last rebuild, which rescales all.

        Parameters
        ----------
        keep_scaling
            Whether those that were fitted stay scaled as they were.
        """
        fresh, before = self.encoder.freeze(), self.frozen
        if keep_scaling:
            fresh = fresh.with_scaling_of(before, min(self.settled, before.n_dims))
        self.frozen = fresh
        return fresh

    def settle(self, encoder: FrozenEncoder) -> None:
        """Everything was fitted by this encoder."""
        self.frozen, self.settled = encoder, encoder.n_dims


def room_for(n_dims: int) -> int:
    """Width of the linear block for so many dimensions: it grows in steps."""
    return -(-n_dims // GROWTH) * GROWTH
