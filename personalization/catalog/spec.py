"""What every group of the catalog is made of, and the types of its fields beyond Python's own.

How a field is written in YAML follows from its type: a name that ends in ``_ms`` is a length of time and written
without the ending (``window: 30m``).
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Cel: TypeAlias = Annotated[str, msgspec.Meta(extra={"written": "rule"})]
"""A CEL expression."""

Share: TypeAlias = Annotated[float, msgspec.Meta(extra={"written": "share"})]
"""A share, [0, 1]; a percentage may stand for it."""

Moment: TypeAlias = Annotated[int, msgspec.Meta(extra={"written": "moment"})]
"""A date or time, in milliseconds since 1970."""


class Spec(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A group of the catalog: known names, each with its own type."""
