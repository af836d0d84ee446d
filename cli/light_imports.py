"""Leaves out what a library imports and we never use."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import cast


def leave_out() -> None:
    """Keep two libraries from importing what they could do besides: 150 ms and 14 MB in each of our processes.

    ``cel/__init__.py`` says ``from . import cli``, which brings prompt_toolkit and rich along. redis imports the
    metrics of OpenTelemetry wherever they are installed, and goes on without where they are not; ours are
    Prometheus's, and traces need none.
    """
    sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
    # What is None there cannot be imported, as if it were not installed.
    sys.modules.setdefault("opentelemetry.sdk.metrics", cast(ModuleType, None))
