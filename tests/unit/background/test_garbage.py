"""What a process has loaded is looked through no more; what it makes afterwards is, and goes."""

from __future__ import annotations

import gc
import importlib
import weakref
from collections.abc import Iterator

import pytest

from background.garbage import loading, settle_down


class Linked:
    """Refers to itself: only a look for garbage finds that nobody wants it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    yield
    gc.unfreeze()
    if frozen:
        gc.freeze()
    gc.set_threshold(*thresholds)


def test_what_is_loaded_is_looked_through_no_more() -> None:
    loaded = [Linked()]
    assert any(each is loaded for each in gc.get_objects())
    settle_down()
    assert not any(each is loaded for each in gc.get_objects())


def test_garbage_from_before_is_not_kept_for_ever() -> None:
    left = weakref.ref(Linked())
    settle_down()
    assert left() is None


def test_garbage_from_afterwards_goes_by_itself() -> None:
    settle_down()
    left = weakref.ref(Linked())
    kept: list[Linked] = []
    while left() is not None and len(kept) < 1_000_000:
        kept.append(Linked())
    assert left() is None


def test_nothing_is_looked_through_while_modules_are_loaded_even_if_one_cannot_be() -> None:
    with loading():
        assert not gc.isenabled()
    with pytest.raises(ModuleNotFoundError), loading():
        importlib.import_module("nowhere.to_be_found")
    assert gc.isenabled()
