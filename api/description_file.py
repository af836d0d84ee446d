"""``docs/openapi.json``: the API's description, made from the routes."""

from __future__ import annotations

import json

from api.app import DIALECTS
from api.openapi.document import document


def description_file() -> str:
    """The file: every line of it one thing, so that a change shows what changed."""
    return json.dumps(document(DIALECTS), indent=1, ensure_ascii=False) + "\n"
