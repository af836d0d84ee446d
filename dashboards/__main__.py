"""Writes the dashboards. A test fails while one is stale."""

from __future__ import annotations

from dashboards.files import written

if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
