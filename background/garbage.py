"""When a process looks for garbage: what serves for long has loaded more than it will ever let go."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (20_000, 5, 100)
"""New objects before the young are looked through, such looks before the middle-aged are, and those before all are.

A look at the middle-aged goes through 100,000 objects and takes milliseconds; through 400,000 it held up the
decisions of others whenever somebody sent megabytes.
"""


@contextmanager
def loading() -> Iterator[None]:
    """Look for none while modules are loaded: they leave next to nothing. Looks were a tenth of a start."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


def settle_down() -> None:
    """Leave out of every later look what is here now; called once a process has loaded what it needs.

    The collector need not go through all modules again at each full round. And what a request or an entry leaves
    behind has no cycles, so looking after every 700 objects finds next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
