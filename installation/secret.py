"""The installation's secret, as commands find it."""

from __future__ import annotations

import os
from pathlib import Path

from config.settings import Settings


def secret_of(settings: Settings) -> bytes:
    """The secret as set, else that of ``nextbest up`` in the data folder."""
    kept = Path(settings.data_dir) / "secret"
    if "NEXTBEST_SECRET" not in os.environ and kept.is_file():
        return kept.read_text(encoding="utf-8").strip().encode()
    return settings.secret.encode()
