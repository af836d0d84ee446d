"""The page of docs that lists every setting, made from the rows of ``Settings``."""

from __future__ import annotations

from dataclasses import fields

from config.settings import PREFIX, Settings

_HEAD = f"""# Settings

Every process reads its settings from the environment: `{PREFIX}` and the name in capitals. All wrong ones are
reported at once; a name that is none of these is wrong too, and the error names the nearest. Durations are
milliseconds (`_MS`), sizes bytes (`_BYTES`).

A password in the URL of Redis is masked wherever the URL is shown. A Redis Cluster (`redis+cluster://`) is refused:
log, catalogs, models and leases need one server, or a proxy that looks like one.

This page is made from `config/settings.py` by `python -m config.generate`.

| variable | default | what it says |
|---|---|---|
"""


def settings_page() -> str:
    """The page as Markdown."""
    rows = []
    for row in fields(Settings):
        default = f"`{row.default}`" if str(row.default) else "(empty)"
        rows.append(f"| `{PREFIX}{row.name.upper()}` | {default} | {row.metadata['help'].replace('|', '¦')} |\n")
    return _HEAD + "".join(rows)
