"""Secrets and passwords that stand in files, as orchestrators mount them, instead of in variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.setting_values import PREFIX, Secret
from personalization.errors import InvalidInput

MAKE_A_SECRET = "`openssl rand -hex 32`"

_SECRET_FILES = {
    "NEXTBEST_SECRET_FILE": "secret",
    "NEXTBEST_SECRET_BEFORE_FILE": "secret_before",
    "NEXTBEST_REDIS_PASSWORD_FILE": "redis_password",
    "NEXTBEST_KAFKA_PASSWORD_FILE": "kafka_password",
}
"""What is read from a file → the field it is put into."""


def read_secrets(values: dict[str, Any]) -> list[InvalidInput]:
    """Put what the files hold in the place of their names; what is wrong with them."""
    found = []
    for variable, name in _SECRET_FILES.items():
        path = values.get(f"{name}_file")
        if not path:
            continue
        if name in values:
            message = f"is set, and {PREFIX}{name.upper()} too: which of them is meant? Leave one out"
            found.append(InvalidInput(variable, message))
            continue
        try:
            text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "it is no text"
            found.append(InvalidInput(variable, f"{path} cannot be read: {reason}"))
            continue
        if not text:
            what = "the password into it" if name.endswith("password") else f"a secret into it: {MAKE_A_SECRET}"
            found.append(InvalidInput(variable, f"{path} is empty; write {what}"))
        else:
            values[name] = Secret(text)
    return found
