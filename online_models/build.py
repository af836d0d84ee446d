"""What this process computes with: two processes of one build give the same bits."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from typing import Any, cast

import numpy as np
import river
import scipy


@cache
def this_build() -> str:
    """Python, numpy, SciPy, River, the BLAS behind numpy, and the instructions that the processor offers it.

    >>> this_build().startswith("Python 3.")
    True
    """
    config = cast("dict[str, Any]", np.show_config(mode="dicts"))
    blas = config.get("Build Dependencies", {}).get("blas", {})
    simd = config.get("SIMD Extensions", {})
    instructions = " ".join([*simd.get("baseline", ()), *simd.get("found", ())])
    parts = [
        f"Python {platform.python_version()}",
        f"numpy {np.__version__}",
        f"SciPy {scipy.__version__}",
        f"River {river.__version__}",
        f"{blas.get('name', 'no BLAS')} {blas.get('version', '')}".strip(),
        f"{platform.machine()} {hashlib.sha256(instructions.encode()).hexdigest()[:8]}",
    ]
    return ", ".join(parts)
