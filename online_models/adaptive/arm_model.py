"""The default reward model: regressions per arm over features that adapt to what is there to be learned.

Features are the z-scores and, where the rewards ask for it, a kernel at random landmarks under a learned metric
(``feature_map``, ``landmarks``, ``metric``). How strongly weights are held at zero, whether the landmarks are worth
having and whether arms share a regression decide much (at 2 % clicks a hundred times more than for handwritten
digits), and nobody should have to know it: ``profile`` chooses by cross-validation in closed form. Everything is
fitted anew from the last rows at 16, 24, 36 … outcomes, a millisecond at a time beside the learning (``rebuild``).
Shifts widen the deviations or let go of the rows before (``drift``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from online_models.adaptive.arm_book import ArmBook
from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.dimensions import GROWTH, Dimensions, room_for
from online_models.adaptive.drift import Drift
from online_models.adaptive.drift_watch import DriftWatch, Shift
from online_models.adaptive.feature_map import feature_map
from online_models.adaptive.linear_scorer import ArmIndex, LinearScorer
from online_models.adaptive.normals import RowNoise
from online_models.adaptive.profile import Profile
from online_models.adaptive.rebuild import Built
from online_models.adaptive.rebuild_plan import Plan
from online_models.adaptive.rebuild_planning import RebuildPlanning
from online_models.adaptive.rebuild_run import RebuildRun
from online_models.adaptive.rebuild_schedule import FIRST_REBUILD, RebuildSchedule, step_us
from online_models.adaptive.row_buffer import FORGOTTEN, RowBuffer
from online_models.encoder import Encoder
from online_models.frozen_encoder import FrozenEncoder
from online_models.noise import RewardNoise
from online_models.reward_model import ARM, ARM_FEATURES, Float32Array, Scores
from online_models.waiting_names import Name

MAX_DIMS = 400
"""Encoded features: all that a context of ``MAX_FEATURES`` may name, and as many again by half."""

REFRESH = 64
MAX_REWARD = 1e6
MAX_WEIGHT = 100.0
INFLATION = 1.4
START = Profile(1 / 30, 0.0, shared=False, optimism=2.0)

LATE = 1_024
"""Outcomes that say which arms are learned of late."""


class ArmModel(base.Regressor):  # type: ignore[misc]
    """Bayesian regressions per arm over adaptive features.

    Parameters
    ----------
    optimism
        Factor of the deviations.
    n_samples
        Posterior samples B kept per arm; the deviation's own error is 1/√(2B).
    n_random
        Random landmarks D, at most; 0: linear.
    max_dims
        Bound on encoded features; many arms share less (``MAX_LINEAR_FLOATS``).
    max_arms
        Bound on arms; the one learned longest ago makes room.
    seed
        Of samples and landmarks. Same seed, same outcomes: the same model, bit for bit.

    Examples
    --------
    >>> model = ArmModel()
    >>> for i in range(200):
    ...     arm = "ab"[i % 2]
    ...     model.learn_one({"arm": arm, "age": i % 7}, float(arm == "b"))
    >>> model.predict_one({"arm": "b", "age": 3}) > 0.9 > 0.1 > model.predict_one({"arm": "a", "age": 3})
    True
    >>> mean, sd = model.score_arms({"age": 3}, ["a", "b", "never tried"])
    >>> bool(sd[2] > sd[0])
    True

    References
    ----------
    Li et al. (2010), LinUCB; Osband et al. (2019), randomised value functions (the perturbed samples).
    """

    def __init__(
        self,
        optimism: float = 1.0,
        n_samples: int = 16,
        n_random: int = 256,
        max_dims: int = MAX_DIMS,
        max_arms: int = 1000,
        seed: int = 0,
    ) -> None:
        if n_samples < 1 or max_arms < 1 or max_dims < 1 or n_random < 0:
            raise ValueError("n_samples, max_arms and max_dims must be at least 1, n_random at least 0")
        if not 0.0 <= optimism < np.inf:
            raise ValueError(f"optimism must be a number ≥ 0, not {optimism!r}")
        self.optimism = optimism
        self.n_samples = n_samples
        self.n_random = n_random
        self.max_dims = max_dims
        self.max_arms = max_arms
        self.seed = seed
        self.n_learned = 0
        self.rebuilds = 0
        self.failed_rebuilds = 0
        """Of which nothing came: they raised."""
        self.drift_inflations = 0
        self.drift_resets = 0
        self.drift_arm_resets = 0
        self.let_go: str | None = None
        """The arm of the last reset; None: all of them."""
        self.rollbacks = 0
        self._noise = RewardNoise()
        self._dimensions = Dimensions(Encoder(max_dims))
        self._arms = ArmBook()
        self._all_touched = 0
        self._features_touched = 0
        self._buffer = RowBuffer(GROWTH)
        self._first_row = 0
        self._planning = RebuildPlanning(n_random, n_samples, seed)
        self._regressions = self._start()
        self._drift = DriftWatch()
        self._perturbations = RowNoise(seed, n_samples)
        self._rebuild: RebuildRun | None = None
        self._schedule = RebuildSchedule()
        self._scorer: LinearScorer | None = None
        self._arm_index = ArmIndex(())
        self._idle: str | None = None

    def make_room(self, idle: str) -> None:
        """The next arm that is new takes the place of ``idle``, which nobody is shown any more."""
        self._idle = idle

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {}

    # River's protocol

    def learn_one(self, x: dict[Any, Any], y: float, w: float = 1.0, unit: bytes = b"", witness: int = 0) -> None:
        """Update the arm ``x["arm"]`` with the reward ``y``; a reward that is no finite number is ignored.

        ``x["arm_features"]``, if it is there, maps names to the arm's own features.

        Parameters
        ----------
        w
            How many outcomes like this one it counts for in every fit, at most ``MAX_WEIGHT``; a weight that is
            not positive and finite teaches nothing. Noise, drift and counts of outcomes stay unweighted.
        unit
            Hash of the person: a name beyond the first ``FREE_DIMS`` must be seen with several to count by itself,
            and ``forget`` finds what they brought.
        witness
            Whose word the reward is (``witnesses``): in tests for drift each counts once; 0: it is believed.
        """
        reward = float(y)
        if not (math.isfinite(reward) and math.isfinite(w) and w > 0.0):
            return
        root = 1.0 if w == 1.0 else math.sqrt(min(w, MAX_WEIGHT))
        reward = min(MAX_REWARD, max(-MAX_REWARD, reward))
        arm = str(x.get(ARM, ""))
        context = dict(x)
        context.pop(ARM, None)
        context.pop(ARM_FEATURES, None)
        if arm not in self._arms.rows and self._dimensions.bound(min(len(self._arms) + 1, self.max_arms)):
            self._rebuild = None
            self._schedule.soon(self.n_learned)
            self._make_way()
        raw = self._encoder.learn(context, unit)
        self.n_learned += 1
        self._noise.add(reward)
        self._arms.learn_features(arm, x.get(ARM_FEATURES))
        row = self._row(arm)
        width = self._regressions.features.width
        if len(raw) > width:
            self._rebuild = None
            self._regressions.widen(room_for(len(raw)), self._arms.names)
            self._all_touched = self._features_touched = self.n_learned
            self._schedule.soon(self.n_learned)
        if len(raw) != self.encoder.n_dims or self.n_learned <= REFRESH or not self.n_learned % REFRESH:
            self._refresh()
        run = self._rebuild
        if run is not None and self._buffer.n + 1 - self._buffer.capacity > run.plan.first:
            self._take(run, run.finish(self._buffer.n))  # the next row would overwrite one it needs
        self._buffer.append(raw, row, reward, root, unit)
        self._arms.learned(row, self.n_learned)
        self._learn(row, self._regressions.features.encode_raw(raw), reward, root, witness)
        if self._rebuild is None and self._schedule.due(self.n_learned):
            self._make_way()
            self._rebuild = self._begin()
        if self._rebuild is not None:
            built = self._rebuild.advance(step_us(self._buffer.n), self._buffer.n)
            if built is not None:
                self._take(self._rebuild, built)
        self._scorer = None

    def forget(self, units: Collection[bytes]) -> None:
        """Persons with these units are erased: their rows go, and names and levels that nobody else has brought.

        Weights that others share in stay. All is fitted anew, without them, from the next outcome on.
        """
        self._drift.forget_visitors(units)
        n_rows = self._buffer.forget(units)
        gone = self._encoder.forget(units)
        if not n_rows and not len(gone):
            return
        self._rebuild = self._scorer = None  # it may be about rows and names that are gone
        if len(gone):
            kept = np.delete(np.arange(self._encoder.n_dims), gone)
            self._give_back(kept, self._regressions.features.width, "forgotten")
        self._schedule.at_once(self.n_learned)

    def predict_one(self, x: dict[Any, Any]) -> float:
        """The reward expected of ``x["arm"]``."""
        arm = str(x.get(ARM, ""))
        features = x.get(ARM_FEATURES)
        by_arm = {arm: features} if isinstance(features, dict) else self._arms.features
        return float(self.scorer().estimate([arm], x, by_arm).mean[0])

    def score_arms(self, x: dict[Any, Any], arms: Sequence[str]) -> Scores:
        """Means and standard deviations of the ``arms`` in the context ``x``."""
        estimates = self.scorer().estimate(arms, x, self._arms.features)
        return Scores(estimates.mean, estimates.sd)

    @property
    def encoder(self) -> FrozenEncoder:
        """The encoder in use."""
        return self._dimensions.frozen

    @property
    def _encoder(self) -> Encoder:
        return self._dimensions.encoder

    @property
    def given_back(self) -> int:
        """Dimensions taken from names to make way for others."""
        return self._dimensions.given_back

    def brought_by_few(self) -> set[Name]:
        """Names and levels of features that no more than ``MAX_BRINGERS`` units have brought."""
        return self._encoder.bringers.names()

    def scorer(self) -> LinearScorer:
        """The model as deciders see it, an immutable copy."""
        if self._scorer is None:
            regressions, arms, n_arms = self._regressions, self._arms, len(self._arms)
            shared = regressions.shared
            names = tuple(arms.names)
            if names != self._arm_index.arms:
                self._arm_index = ArmIndex(names)
            self._scorer = LinearScorer(
                regressions.features,
                names,
                regressions.frozen_weights(),
                arms.n.copy(),
                np.maximum(arms.last, self._all_touched),
                prior_variance=regressions.profile.variance,
                offset=regressions.offset,
                noise=self._noise.sd,
                optimism=self.optimism * regressions.profile.optimism,
                base=shared.base() if shared is not None else None,
                arm_features=shared.attributes.encoded[:n_arms].copy() if shared is not None else None,
                arm_encoder=shared.attributes.encoder if shared is not None and shared.attributes.width else None,
                matching=shared.matching if shared is not None else None,
                slopes=shared.slopes() if shared is not None else None,
                features_touched=self._features_touched,
                arm_index=self._arm_index,
            )
        return self._scorer

    # For who looks into it

    def n_by_arm(self) -> dict[str, int]:
        """Outcomes that each arm's estimate rests on."""
        return dict(zip(self._arms.names, map(int, self._arms.n), strict=True))

    def recent_contexts(self, n: int) -> Float32Array:
        """The last ``n`` contexts that are kept, encoded as they would be now, shape (≤ n, d)."""
        buffer = self._buffer
        raw, arm, _ = buffer.rows(max(buffer.oldest, self._first_row, buffer.n - n), buffer.n)
        return self.encoder.scale(raw[arm >= 0].astype(np.float64))

    def shares_of_late(self) -> dict[str, float]:
        """Of the last ``LATE`` outcomes that are kept, which share was each arm's."""
        buffer = self._buffer
        _, arm, _ = buffer.rows(max(buffer.oldest, self._first_row, buffer.n - LATE), buffer.n)
        counts = np.bincount(arm[arm >= 0], minlength=len(self._arms))
        return dict(zip(self._arms.names, (counts / max(1, int(counts.sum()))).tolist(), strict=True))

    # Learning

    def _learn(self, row: int, phi: Float32Array, reward: float, root: float, witness: int) -> None:
        error = self._regressions.update(row, phi, reward, self._perturbations(self._buffer.n - 1), root)
        if not math.isfinite(error):
            # Numbers broke down: this arm begins at its prior, and everything is fitted from the rows kept.
            self.rollbacks += 1
            self._regressions.set_prior(row, self._arms.names[row])
            self._schedule.at_once(self.n_learned)
            return
        shift = self._drift.add(row, -error, witness)
        if shift is not None:
            self._respond(shift)

    def _respond(self, shift: Shift) -> None:
        """Widen deviations, or let go of what no longer holds: of one arm, or of all."""
        if shift.drift is Drift.INFLATE:
            self.drift_inflations += 1
            self._regressions.inflate(INFLATION)
            self._all_touched = self.n_learned
        elif shift.arm is not None:
            self.drift_arm_resets += 1
            self.let_go = self._arms.names[shift.arm]
            self._reset_arm(shift.arm, shift.span)
        else:
            self.drift_resets += 1
            self.let_go = None
            self._reset(shift.span)

    def _reset(self, span: int) -> None:
        """Let go of all but the last ``span`` rows; the metric stays."""
        self._first_row = self._buffer.n - span
        self._planning.fitted = 0
        _, arm, reward = self._buffer.rows(max(self._buffer.oldest, self._first_row), self._buffer.n)
        self._arms.recount(arm)
        self._noise.restart(reward[arm != FORGOTTEN])
        self._rebuild = self._begin(judge=False)

    def _reset_arm(self, row: int, span: int) -> None:
        """Let go of all but the last ``span`` rows of one arm."""
        buffer, regressions = self._buffer, self._regressions
        kept = buffer.keep_last(row, span)
        regressions.set_prior(row, self._arms.names[row])
        for number in kept.tolist():
            raw, _, reward = buffer.rows(number, number + 1)
            phi = regressions.features.encode_raw(raw[0, : self.encoder.n_dims].astype(np.float64))
            root = float(buffer.roots(number, number + 1)[0])
            regressions.update(row, phi, float(reward[0]), self._perturbations(number), root)
        self._arms.recount_one(row, len(kept))
        if self._rebuild is not None:  # it is about rows that are gone
            self._rebuild = None
            self._schedule.soon(self.n_learned)

    def _refresh(self) -> None:
        features = self._regressions.features
        # A linear model bears that its features are scaled a little anew.
        fresh = self._dimensions.refresh(keep_scaling=bool(self._regressions.profile.random))
        linear = features.linear
        if self.n_learned < FIRST_REBUILD:
            linear = self._start().features.linear
        self._regressions.rescale(features.with_encoder(fresh, linear))

    def _start(self) -> ArmRegressions:
        features = feature_map(self.encoder, GROWTH, START.linear)
        return ArmRegressions(features, START, None, 0.0, self.n_samples, self.seed)

    # Dimensions

    def _make_way(self) -> None:
        """Dimensions that bring little go to names that wait for one; before a rebuild, which fits all anew."""
        dimensions, width = self._dimensions, self._regressions.features.width
        kept = dimensions.worth_keeping(self._regressions, self._buffer, self._first_row)
        if kept is None:
            return
        dimensions.given_back += dimensions.encoder.n_dims - len(kept)
        self._give_back(kept, room_for(len(kept)) if dimensions.n_over else width, "made way")

    def _give_back(self, kept: NDArray[np.intp], width: int, why: str) -> None:
        """Only these dimensions stay, and then there is room for ``width`` in all."""
        self._dimensions.select(kept)
        self._buffer.select(kept)
        self._planning.select(kept)
        self._regressions.relay(kept, width, self.encoder, self._arms.names, why, self.n_learned)
        self._all_touched = self._features_touched = self.n_learned
        self._refresh()

    # Rebuilding

    def _begin(self, judge: bool = True) -> RebuildRun:
        plan, window = self._planning.plan(
            self._buffer,
            self._first_row,
            self._encoder.freeze(),
            self._regressions,
            self._arms,
            self._noise.of_a_coin,
            judge=judge,
        )
        self._schedule.begun(self.n_learned, plan.last - self._first_row, window)
        return self._run(plan)

    def _run(self, plan: Plan) -> RebuildRun:
        return RebuildRun(plan, self._buffer, self._arms.names, self._perturbations)

    def _take(self, run: RebuildRun, built: Built) -> None:
        """Go on with what was built."""
        plan = run.plan
        self._rebuild = None
        if run.failed:
            self.failed_rebuilds += 1
            return
        self.rebuilds += 1
        if built.regressions is None:
            return
        self._planning.taken(plan, built)
        self._regressions = built.regressions
        while self._regressions.n_arms < len(self._arms):
            name = self._arms.names[self._regressions.n_arms]
            self._regressions.add_arm(name, self._arms.about(name))
        self._dimensions.settle(plan.encoder)
        self._all_touched = self._features_touched = self.n_learned
        self._refresh()

    # Arms

    def _row(self, arm: str) -> int:
        arms = self._arms
        if arm in arms.rows:
            return arms.rows[arm]
        idle, self._idle = self._idle, None
        if idle not in arms.rows:
            idle = None
        if idle is not None or len(arms) >= self.max_arms:
            row = arms.replace(arm, idle)
            self._rebuild = None
            self._schedule.soon(self.n_learned)
            self._buffer.keep_last(row, 0)
            self._drift.forget(row)
            self._regressions.replace_arm(row, arm, arms.about(arm))
            return row
        row = arms.add(arm)
        about = arms.about(arm)
        if self._rebuild is not None and about is not None:
            self._rebuild.plan.late[arm] = about
        if self._regressions.profile.random and not self._planning.fits_random(
            len(arms), self._regressions.features.width
        ):
            run = self._begin(judge=False)
            self._take(run, run.finish(self._buffer.n))
        if self._regressions.n_arms <= row:
            self._regressions.add_arm(arm, about)
        return row

    # Checkpoints

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values; ``load`` continues bit for bit."""
        planning = self._planning.dump()
        return {
            "params": self._get_params(),
            "counts": [
                *(getattr(self, name) for name in _COUNTS),
                self._dimensions.given_back,
                self._planning.fitted,
            ],
            "noise": self._noise.dump(),
            "encoder": self._encoder.dump(),
            "frozen": self.encoder.dump(),
            "settled": self._dimensions.settled,
            "arms": self._arms.dump(),
            "touched": [self._all_touched, self._features_touched],
            "offset": planning["offset"],
            "buffer": self._buffer.dump(),
            "first_row": self._first_row,
            "metric": planning["metric"],
            "profile": planning["profile"],
            "regressions": self._regressions.dump(),
            "drift": self._drift.dump(),
            "next_rebuild": self._schedule.next_at,
            "plan": self._rebuild.plan.dump() if self._rebuild is not None else None,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ArmModel:
        """The inverse of ``dump``; a rebuild under way is taken up where it was."""
        model = cls(**state["params"])
        *counts, given_back, fitted = state["counts"]
        for name, value in zip(_COUNTS, counts, strict=True):
            setattr(model, name, value)
        model._noise = RewardNoise.load(state["noise"])
        encoder, frozen = Encoder.load(state["encoder"]), FrozenEncoder.load(state["frozen"])
        model._dimensions = Dimensions(encoder, frozen, state["settled"])
        model._dimensions.given_back = given_back
        model._arms = ArmBook.load(state["arms"])
        model._all_touched, model._features_touched = state["touched"]
        model._buffer, model._first_row = RowBuffer.load(state["buffer"]), state["first_row"]
        model._planning.take_up(state, fitted)
        model._regressions = ArmRegressions.load(state["regressions"], frozen, model.n_samples, model.seed)
        model._drift = DriftWatch.load(state["drift"])
        model._schedule = RebuildSchedule(state["next_rebuild"])
        if state["plan"] is not None:
            model._rebuild = model._run(Plan.load(state["plan"]))
            model._rebuild.repeat(step_us, model._buffer.n)
        return model


_COUNTS = (
    "n_learned",
    "rebuilds",
    "failed_rebuilds",
    "drift_inflations",
    "drift_resets",
    "drift_arm_resets",
    "rollbacks",
)
