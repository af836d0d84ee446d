"""Writes the files that are made from code: ``python -m config.generate``. A test fails while one is stale."""

from __future__ import annotations

from pathlib import Path

from config.policies_page import policies_page
from config.schema import SCHEMA_FILE, catalog_schema_text
from config.settings_page import settings_page

_DOCS = Path(__file__).parent.parent / "docs"
SETTINGS_PAGE = _DOCS / "settings.md"
POLICIES_PAGE = _DOCS / "policies.md"
ACCESS_PAGE = _DOCS / "access.md"
DESCRIPTION_FILE = _DOCS / "openapi.json"
METRICS_PAGE = _DOCS / "metrics.md"


def generated() -> dict[Path, str]:
    """Each generated file and what should stand in it."""
    # The API and the metrics, of all that stands above: whoever loads a catalog needs none.
    from api.access_page import access_page
    from api.description_file import description_file
    from operations.metrics_page import metrics_page

    return {
        SCHEMA_FILE: catalog_schema_text(),
        SETTINGS_PAGE: settings_page(),
        POLICIES_PAGE: policies_page(),
        ACCESS_PAGE: access_page(),
        DESCRIPTION_FILE: description_file(),
        METRICS_PAGE: metrics_page(),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
