"""``docs/openapi.json``: the API's description, made from the routes."""

from __future__ import annotations

import json

from api.app import ANSWERED
from api.openapi.document import document


def description_file() -> str:
    """The file: every line of it one thing, so that a change shows what changed."""
    return json.dumps(document(ANSWERED), indent=1, ensure_ascii=False) + "\n"
