"""Fitting everything anew from the rows kept, in small steps between which learning goes on.

A rebuild is a pure function of what it began with and of how many rows there were at each of its steps: a learner
that starts again from a checkpoint repeats the steps taken and goes on as if nothing had happened.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from online_models.adaptive.arm_regressions import ArmRegressions
from online_models.adaptive.landmarks import Landmarks, drawn, landmarks_at
from online_models.adaptive.left_out import CHUNK_ROWS, block_rows, inverse_of, left_out_errors, squared_errors
from online_models.adaptive.matching import Matching
from online_models.adaptive.normals import normals
from online_models.adaptive.profile import PROFILES, Profile, best_of, flexible_leads_at
from online_models.adaptive.rebuild_plan import MATCHING_ROWS, Plan
from online_models.adaptive.row_buffer import FORGOTTEN, RowBuffer
from online_models.adaptive.shared_regression import SharedRegression
from online_models.reward_model import Float32Array, FloatArray

CATCH_UP_ROWS = 8
"""Rows learned per step at the end: several arrive while it runs, so that it must be the faster one."""


@dataclass(slots=True)
class Built:
    """What comes of it."""

    regressions: ArmRegressions | None
    profile: int


def rebuild(
    plan: Plan, buffer: RowBuffer, arms: Sequence[str], noise: Callable[[int], Float32Array]
) -> Generator[float, int, Built]:
    """Judge the profiles, fit the best, learn what came meanwhile.

    Yields the microseconds a step is worth (a count, not a clock); is sent the number of rows there are.

    Parameters
    ----------
    arms
        Names of the arms, those that come later too.
    noise
        Number of a row → its noise, as in ``ArmRegressions.update``.
    """
    yield 0.0
    matching = plan.matching(buffer)
    yield 100.0 + 5.0 * MATCHING_ROWS * (len(matching.pairs) > 0)
    profile = plan.profiles[0]
    landmarks = None
    if plan.n_random and any(PROFILES[index].random for index in plan.profiles):
        raw, arm, _ = buffer.rows(plan.first, plan.last)
        raw = raw[arm != FORGOTTEN]
        chosen = plan.encoder.scale(raw[drawn(len(raw), plan.n_random, plan.seed)])
        landmarks = landmarks_at(chosen, plan.width, plan.metric)
        yield 100.0 + 1e-4 * len(landmarks) ** 3
    if len(plan.profiles) > 1:
        profile = yield from _judged(plan, buffer, landmarks, matching)
    if profile == plan.held:
        return Built(None, profile)
    regressions = yield from _fitted(plan, PROFILES[profile], landmarks, buffer, arms, matching)
    done, available = plan.last, plan.last
    while True:
        raw, arm, reward = buffer.rows(done, min(available, done + CATCH_UP_ROWS))
        root = buffer.roots(done, done + len(raw))
        while regressions.n_arms < len(arms):
            name = arms[regressions.n_arms]
            regressions.add_arm(name, plan.late.get(name))
        phi = regressions.features.from_raw(raw)
        for i in range(len(raw)):
            if arm[i] >= 0:
                regressions.update(int(arm[i]), phi[i], float(reward[i]), noise(done + i), float(root[i]))
        done += len(raw)
        if done >= available:
            return Built(regressions, profile)
        available = yield 60.0 * CATCH_UP_ROWS


def _judged(
    plan: Plan, buffer: RowBuffer, landmarks: Landmarks | None, matching: Matching
) -> Generator[float, int, int]:
    """Index of the profile with the clearly smallest error at rows left out."""
    raw, arm, reward = buffer.rows(plan.first_trial, plan.last)
    known = arm >= 0
    raw, arm, reward = raw[known], arm[known], reward[known]
    root = buffer.roots(plan.first_trial, plan.last)[known]
    target = (reward.astype(np.float64) - plan.offset) * root
    squared: list[FloatArray] = []
    for group in _alike(plan.profiles):
        features = plan.features(group[0], landmarks)
        phi = np.empty((len(raw), features.n_features), np.float32)
        for start in range(0, len(raw), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            phi[part] = features.from_raw(raw[part])
            yield 30.0 + 0.01 * phi[part].size
        variances = np.ones((len(group), features.n_features))
        targets = np.tile(target, (len(group), 1))
        for v, profile in enumerate(group):
            variances[v, 1 : 1 + plan.width] = profile.linear / group[0].linear
            if plan.shares(profile):
                own = phi[:, : 1 + plan.width] * np.sqrt(variances[v, : 1 + plan.width]).astype(np.float32)
                shared = SharedRegression(plan.features(profile, landmarks), plan.attributes, matching)
                psi = shared.rows(own, arm) * root[:, None]
                prior = np.ones((1, psi.shape[1]))
                targets[v] = yield from left_out_errors(psi, prior, target[None], block_rows(len(target)))
        phi *= root[:, None]
        squared.extend((yield from squared_errors(phi, variances, arm, targets, root)))
    in_force = plan.profiles.index(plan.in_force) if plan.in_force in plan.profiles else 0
    flexible_leads = plan.profiles[0] != 0 or flexible_leads_at(plan.encoder.n_dims)
    return plan.profiles[best_of(squared, reward.astype(np.float64), in_force, flexible_leads)]


def _alike(profiles: tuple[int, ...]) -> Iterator[list[Profile]]:
    """Neighbouring profiles of the same features, which differ in their scales alone."""
    for _, group in itertools.groupby((PROFILES[index] for index in profiles), key=lambda profile: profile.random):
        yield list(group)


def _fitted(
    plan: Plan,
    profile: Profile,
    landmarks: Landmarks | None,
    buffer: RowBuffer,
    arms: Sequence[str],
    matching: Matching,
) -> Generator[float, int, ArmRegressions]:
    features = plan.features(profile, landmarks)
    if not len(features.landmarks):
        profile = profile._replace(random=0.0)
    shared = SharedRegression(features, plan.attributes.copy(), matching) if plan.shares(profile) else None
    regressions = ArmRegressions(features, profile, shared, plan.offset, plan.n_samples, plan.seed)
    n_arms = len(plan.attributes)  # those that came later have no rows to fit
    regressions.reserve(n_arms)
    for name in arms[:n_arms]:
        regressions.add_arm(name)
        yield 5e-4 * features.n_features**2 + 0.5 * features.n_features
    raw, arm, reward = buffer.rows(plan.first, plan.last)
    root = buffer.roots(plan.first, plan.last)
    if shared is not None:
        n = len(shared.weights)
        gram, moment = np.zeros((n, n)), np.zeros(n)
        for start in range(0, len(raw), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            known = arm[part] >= 0
            rows = shared.rows(features.linear_from_raw(raw[part][known]), arm[part][known])
            psi = (rows * root[part][known][:, None]).astype(np.float64)
            gram += psi.T @ psi
            moment += psi.T @ ((reward[part][known] - plan.offset) * root[part][known])
            yield 50.0 + 1e-4 * len(psi) * n * n
        shared.fit(gram, moment)
    for row in range(n_arms):
        at = np.flatnonzero(arm == row)
        if len(at):
            yield from _fit_arm(regressions, row, arms[row], raw[at], reward[at], root[at], plan)
    return regressions


def _fit_arm(
    regressions: ArmRegressions,
    row: int,
    name: str,
    raw: Float32Array,
    reward: Float32Array,
    root: Float32Array,
    plan: Plan,
) -> Generator[float, int, None]:
    """P, θ and S of one arm: in dual form if it has fewer rows than features, else by Cholesky.

    Rows count by their weights, of which ``root`` holds the square roots: φ and targets are scaled by it.
    """
    features, shared = regressions.features, regressions.shared
    n, n_features = len(raw), features.n_features
    target = reward - np.float32(plan.offset)
    samples = regressions.weights[row, 1:].astype(np.float64)
    if n < n_features:
        phi32 = features.from_raw(raw)
        target = _left(shared, phi32, row, target, root)
        phi32 *= root[:, None]
        phi = phi32.astype(np.float64)
        solved = phi.T @ inverse_of(phi @ phi.T + np.eye(n))  # (F, n)
        noise = normals(plan.seed, name, plan.last, shape=(plan.n_samples, n)).astype(np.float64)
        regressions.weights[row, 0] = solved @ target
        regressions.weights[row, 1:] = samples + (noise - samples @ phi.T) @ solved.T
        covariance = solved @ phi
        np.subtract(0.0, covariance, out=covariance)
        covariance.flat[:: n_features + 1] += 1.0
        regressions.covariance[row] = covariance
        yield 100.0 + 1e-4 * n * n * n + 1e-4 * n * n_features * n_features
        return
    gram = np.eye(n_features)
    moment = np.zeros(n_features)
    for start in range(0, n, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        phi32 = features.from_raw(raw[part])
        left = _left(shared, phi32, row, target[part], root[part])
        phi32 *= root[part, None]
        gram += phi32.T @ phi32
        moment += phi32.T @ left
        yield 50.0 + 3e-5 * len(phi32) * n_features * n_features
    lower, _ = lapack.dpotrf(gram, lower=1)
    covariance, _ = lapack.dpotri(lower, lower=1)
    covariance = np.tril(covariance) + np.tril(covariance, -1).T
    regressions.covariance[row] = covariance
    regressions.weights[row, 0] = covariance @ moment
    spread, _ = lapack.dtrtrs(lower, samples.T, lower=1, trans=1)
    regressions.weights[row, 1:] = spread.T
    yield 100.0 + 1e-4 * n_features**3


def _left(
    shared: SharedRegression | None, phi: Float32Array, row: int, target: Float32Array, root: Float32Array
) -> Float32Array:
    """What the shared regression leaves of the targets of one arm, each as if it had counted for one less.

    Scaled by ``root``, as ``target`` and φ are not yet.
    """
    if shared is None:
        return target * root
    psi = shared.rows(phi, np.full(len(phi), row))
    leverage = np.add.reduce((psi @ shared.covariance) * psi, axis=1)
    leverage *= np.minimum(root, np.float32(1.0)) ** 2
    left: Float32Array = (target - psi @ shared.weights) / np.maximum(np.float32(1.0) - leverage, np.float32(1e-3))
    left *= root
    return left
