"""Rule *Assignment*: by the unit alone, in the shares asked for, independent between layers."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from personalization.bounded import short_hash
from personalization.deciding.assignment import Experiment, Layer, Variant, assign
from personalization.deciding.experiments import variants_layer
from personalization.deciding.holdout import global_layer, placement_layer
from personalization.visitor.visitor_key import anonymous_key, user_key

SECRET = b"a secret of the test"
GOLDEN = Path(__file__).with_name("assignments.json")
N = 20_000


def _uuid(n: int) -> str:
    return str(uuid.UUID(bytes=hashlib.md5(str(n).encode()).digest(), version=4))


KEYS = {
    "sequential": [anonymous_key(str(n)) for n in range(N)],
    "uuids": [anonymous_key(_uuid(n)) for n in range(N)],
    "e-mails": [user_key(f"customer{n}@example.com") for n in range(N)],
}
"""Ids as callers have them: whoever hashes badly gives neighbours the same side."""


def experiment(name: str, **shares: float) -> Experiment[str]:
    return Experiment(
        name, tuple(Variant(each, share, f"{name}\x1f{each}", each) for each, share in shares.items())
    )


def variants(keys: list[str], *layers: Layer[Any]) -> list[str]:
    """Experiment and variant of each key's person."""
    found = (assign(SECRET, short_hash(key), layers) for key in keys)
    return [f"{each.experiment}/{each.variant}" for each in found]


def chi_square(observed: Counter[Any], expected: dict[Any, float]) -> float:
    return sum((observed[each] - n) ** 2 / n for each, n in expected.items())


@pytest.mark.parametrize("ids", KEYS)
def test_each_variant_has_its_share(ids: str) -> None:
    shares = {"a": 0.5, "b": 0.2, "c": 0.05}
    found = Counter(variants(KEYS[ids], Layer([experiment("x", **shares)])))
    expected = {f"x/{name}": share * N for name, share in shares.items()} | {"/": 0.25 * N}
    assert found.keys() == expected.keys()
    assert chi_square(found, expected) < 16.3, "chi-square with 3 degrees of freedom, p = 0.001"


@pytest.mark.parametrize("ids", KEYS)
def test_experiments_of_two_layers_are_independent(ids: str) -> None:
    one = variants(KEYS[ids], Layer([experiment("x", a=0.5, b=0.3)]))
    other = variants(KEYS[ids], Layer([experiment("y", a=0.5, b=0.3)]))
    assert _dependence(one, other) < 18.5, "chi-square with 4 degrees of freedom, p = 0.001"
    assert _dependence(one, one) > N, "and the test would see a dependence"


@pytest.mark.parametrize("ids", KEYS)
def test_holdouts_of_two_placements_and_the_catalogs_are_independent(ids: str) -> None:
    sides = [
        variants(KEYS[ids], layer)
        for layer in (placement_layer("home.hero", 0.3), placement_layer("cart.offer", 0.3), global_layer(0.3))
    ]
    for one, other in itertools.combinations(sides, 2):
        assert _dependence(one, other) < 10.8, "chi-square with 1 degree of freedom, p = 0.001"


def _dependence(one: list[str], other: list[str]) -> float:
    rows, columns = Counter(one), Counter(other)
    expected = {(row, column): rows[row] * columns[column] / N for row in rows for column in columns}
    return chi_square(Counter(zip(one, other, strict=True)), expected)


def test_experiments_of_one_layer_exclude_each_other() -> None:
    layer = Layer([experiment("x", a=0.3), experiment("y", a=0.3, b=0.3)])
    found = Counter(variants(KEYS["uuids"], layer))
    expected = {"x/a": 0.3 * N, "y/a": 0.3 * N, "y/b": 0.3 * N, "/": 0.1 * N}
    assert chi_square(found, expected) < 16.3


def test_the_first_layer_that_has_a_place_for_somebody_decides() -> None:
    held = Layer([experiment("holdout", control=0.2)])
    own = Layer([experiment("x", a=1.0)])
    both, alone = variants(KEYS["uuids"], held, own), variants(KEYS["uuids"], held)
    assert {"x/a", "holdout/control"} == set(both)
    assert [each == "holdout/control" for each in both] == [each != "/" for each in alone]


@pytest.mark.parametrize("grown", ["a", "b", "c"])
def test_growing_a_share_moves_nobody_out_of_the_growing_variant(grown: str) -> None:
    shares = {"a": 0.2, "b": 0.2, "c": 0.2}
    before = variants(KEYS["sequential"], Layer([experiment("x", **shares)]))
    after = variants(KEYS["sequential"], Layer([experiment("x", **{**shares, grown: 0.35})]))
    moved = Counter((old, new) for old, new in zip(before, after, strict=True) if old != new)
    assert not [old for old, _ in moved if old == f"x/{grown}"]
    earlier = [f"x/{name}" for name in shares if name < grown]
    assert not [old for old, new in moved if old in earlier or new in earlier], "those before it stay as they are"
    assert sum(moved.values()) < 0.25 * N, "few others take the places of those who moved"


def test_growing_a_holdout_moves_nobody_out_of_it() -> None:
    for layer in (global_layer, lambda share: placement_layer("home.hero", share)):
        small, large = (variants(KEYS["e-mails"], layer(share)) for share in (0.05, 0.1))
        assert all(new != "/" for old, new in zip(small, large, strict=True) if old != "/")
        assert Counter(large)["/"] < Counter(small)["/"]


def test_shares_that_are_everybody_leave_nobody_out() -> None:
    tenths = Layer([experiment("x", **{f"v{n}": 0.1 for n in range(10)})])
    assert "/" not in variants(KEYS["sequential"], tenths)
    assert set(variants(KEYS["sequential"][:100], Layer([experiment("x", a=0.0, b=1.0)]))) == {"x/b"}


@pytest.mark.parametrize("shares", [(0.6, 0.5), (-0.1,), (1.1,), (float("nan"),)])
def test_shares_beyond_everybody_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="x, v"):
        Layer([experiment("x", **{f"v{n}": share for n, share in enumerate(shares)})])


def test_who_is_where_is_the_same_in_every_release() -> None:
    """Golden: whoever changes the hash, the salts or the order of claims moves people in running experiments."""
    golden = json.loads(GOLDEN.read_text())
    for case in golden["cases"]:
        layers = [Layer([experiment(name, **shares) for name, shares in layer.items()]) for layer in case["layers"]]
        units = [bytes.fromhex(unit) for unit in golden["units"]]
        found = [assign(golden["secret"].encode(), unit, layers) for unit in units]
        assert [f"{each.experiment}/{each.variant}" for each in found] == case["assigned"], case["layers"]
    for name, control in golden["holdouts"].items():
        layer = placement_layer(name, 0.2) if name else global_layer(0.2)
        held = [assign(golden["secret"].encode(), bytes.fromhex(unit), [layer]).variant for unit in golden["units"]]
        assert "".join("c" if each else "." for each in held) == control
    for case in golden["variants"]:
        own = variants_layer("home.hero", case["shares"], dict.fromkeys(case["shares"], ""))
        inside = [assign(golden["secret"].encode(), bytes.fromhex(unit), [own]).variant for unit in golden["units"]]
        assert "".join(each or "." for each in inside) == case["assigned"]


def test_the_order_in_which_variants_are_written_means_nothing() -> None:
    shares = {"b": 0.3, "a": 0.3, "c": 0.3}
    one, other = (
        variants_layer("hero", dict(written), dict.fromkeys(shares, ""))
        for written in (shares.items(), sorted(shares.items()))
    )
    assert variants(KEYS["uuids"][:500], one) == variants(KEYS["uuids"][:500], other)
