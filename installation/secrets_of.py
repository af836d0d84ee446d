"""The secrets of an installation, as its settings say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from config.setting_values import DEVELOPMENT_SECRET, Secret
from config.settings import Settings
from personalization.key_derivation import Secrets


def secrets_of(settings: Settings) -> Secrets:
    """The secret in force, and the one before where it is still accepted."""
    return Secrets(settings.secret.encode(), settings.secret_before.encode())


def installed_secrets(settings: Settings) -> Secrets:
    """Those of ``settings``, else that which ``nextbest up`` keeps in the data folder."""
    kept = Path(settings.data_dir) / "secret"
    if settings.secret == DEVELOPMENT_SECRET and kept.is_file():
        settings = replace(settings, secret=Secret(kept.read_text(encoding="utf-8").strip()))
    return secrets_of(settings)
