"""How a placement's experiment splits its visitors: the sides there are, and how probable each is."""

from __future__ import annotations

from collections.abc import Mapping

CONTROL = "control"
"""The side of those who are held out. No variant may be called so."""

AS_WRITTEN = ""
"""The side of those who are in no variant."""

EXPERIMENT_KEY = "experiment:"
"""Before a placement's name in the keys of ``outcomes``; no placement may begin so."""


def split_of(everywhere: float, here: float, variants: Mapping[str, float]) -> dict[str, float]:
    """The probability of each side; empty if there are no two sides to compare.

    Parameters
    ----------
    everywhere, here
        Shares held out of every placement, and of this one: two draws that know nothing of each other.
    variants
        Shares of the variants, of those who are not held out.

    >>> split_of(0.0, 0.1, {}), split_of(0.0, 0.0, {"bold": 0.25}), split_of(0.0, 0.0, {})
    ({'control': 0.1, '': 0.9}, {'': 0.75, 'bold': 0.25}, {})
    """
    control = 1.0 - (1.0 - everywhere) * (1.0 - here)
    rest = 1.0 - sum(variants.values())
    shares = {CONTROL: control, AS_WRITTEN: (1.0 - control) * rest}
    shares |= {name: (1.0 - control) * share for name, share in sorted(variants.items())}
    found = {name: round(share, _DECIMALS) for name, share in shares.items() if share > _LEAST}
    return found if len(found) > 1 else {}


_LEAST = 1e-9
_DECIMALS = 9
"""Equal splits have equal bytes, however they were calculated."""
