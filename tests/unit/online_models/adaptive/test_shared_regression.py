from __future__ import annotations

import numpy as np
import pytest

from online_models.adaptive.arm_attributes import ArmAttributes
from online_models.adaptive.feature_map import FeatureMap, feature_map
from online_models.adaptive.landmarks import landmarks_at
from online_models.adaptive.matching import Matching, fitted_matching
from online_models.adaptive.shared_regression import MAX_CROSSED, SharedRegression
from online_models.encoder import Encoder
from online_models.reward_model import Float32Array

GENRES = ("war", "western", "drama")


def some(
    n_arms: int, *, about: bool, matched: bool, width: int = 16
) -> tuple[SharedRegression, FeatureMap, Float32Array]:
    """A shared regression over two numbers and a family, φ with landmarks, and raw rows."""
    rng = np.random.default_rng(n_arms)
    encoder, of_arms = Encoder(), Encoder()
    names = ("age", "hour", *(f"affinities.genre.{genre}" for genre in GENRES))
    raw = np.array([encoder.learn({name: float(rng.normal()) for name in names}) for _ in range(60)], np.float32)
    arms = [{"genre": GENRES[arm % 3], "price": float(arm)} for arm in range(n_arms)]
    for each in arms if about else ():
        of_arms.learn(each)
    attributes = ArmAttributes.of(of_arms.freeze(), arms if about else [None] * n_arms)
    frozen = encoder.freeze()
    arm = rng.integers(n_arms, size=len(raw))
    matching = fitted_matching(frozen, attributes.terms, raw, arm) if matched else Matching()
    assert bool(matching.pairs) == (about and matched)
    features = feature_map(frozen, width, 1.0, 9.0, landmarks_at(frozen.scale(raw), width, None))
    return SharedRegression(features, attributes, matching), features, raw


@pytest.mark.parametrize("width", [16, 80])
@pytest.mark.parametrize(("about", "matched"), [(False, False), (True, False), (True, True)])
def test_one_row_has_the_bits_it_has_among_many(about: bool, matched: bool, width: int) -> None:
    """Learning one outcome and fitting all of them look at the same numbers, crossed with the arms' or not."""
    shared, features, raw = some(4, about=about, matched=matched, width=width)
    assert shared.crossed == ((1 + width) * (1 + shared.attributes.width) <= MAX_CROSSED)
    shared.rescale(features)
    phi = features.from_raw(raw)
    arm = np.arange(len(raw)) % 4
    together = shared.rows(phi, arm)
    assert together.shape == (len(raw), len(shared.weights))
    for i in range(len(raw)):
        alone = shared.rows(phi[i : i + 1], arm[i : i + 1])[0]
        assert shared.row(phi[i], int(arm[i])).tobytes() == alone.tobytes()
        assert np.allclose(alone, together[i], atol=1e-5)


def test_what_a_shared_regression_looks_at_is_made_without_landmarks() -> None:
    shared, features, raw = some(4, about=True, matched=True)
    arm = np.arange(len(raw)) % 4
    u = features.linear_from_raw(raw)
    assert len(features.landmarks) > 0
    assert u.shape == (len(raw), 1 + features.width)
    assert u.tobytes() == features.from_raw(raw)[:, : 1 + features.width].tobytes()
    assert shared.rows(u, arm).tobytes() == shared.rows(features.from_raw(raw), arm).tobytes()
