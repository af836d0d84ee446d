"""What ``nextbest up`` shows once all is ready: where it is, whose keys it takes, and a first request to try.

Keys and placements are those of the catalog in force: nothing is shown that does not work.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import click

from cli.started import Started
from config.setting_values import shown_url
from personalization.catalog.catalog import Catalog

HASHED = "sha256:"


def write_key(catalog: Catalog) -> str | None:
    """A write key that stands in plain text in the catalog; None if there is none."""
    return next((key for s in catalog.sources.values() for key in s.write_keys if not key.startswith(HASHED)), None)


def server_key(catalog: Catalog) -> str | None:
    """A server key that stands in plain text in the catalog; None if there is none."""
    return next(
        (key for s in catalog.sources.values() for key in s.server_keys if not key.startswith(HASHED)), None
    )


def first_placement(catalog: Catalog) -> str | None:
    """The placement to try: the first that is open to everybody, else the first."""
    placements = catalog.placements
    return next(
        (name for name, placement in placements.items() if not placement.when), next(iter(placements), None)
    )


def show_ready(started: Started) -> None:
    """Say where everything is, and what to try."""
    click.echo(ready_text(started))


def ready_text(started: Started) -> str:
    """What ``show_ready`` says."""
    pids = ", ".join(f"{name} {pid}" for name, pid in started.supervisor.pids().items())
    host = f"[{started.metrics_host}]" if ":" in started.metrics_host else started.metrics_host
    metrics = ", ".join(f"{name} http://{host}:{port}/metrics" for name, port in started.metrics_ports.items())
    catalog = started.catalog.catalog
    return (
        f"\nnextbest is ready at {started.url}  (in {started.started_in_s:.1f} s)\n\n"
        f"  catalog    {started.catalog.words}\n"
        f"  log        {started.log}\n"
        f"  redis      {shown_url(started.redis_url)}\n"
        f"  data       {started.data_dir}\n"
        f"  processes  {pids}\n"
        f"  metrics    {metrics}\n"
        f"  keys       {keys_text(catalog)}\n\n"
        f"Try it:\n\n{first_request(started.url, catalog)}\n\nCtrl-C stops everything."
    )


def keys_text(catalog: Catalog) -> str:
    """The keys that can be shown; for others, where they are."""
    shown = []
    if key := write_key(catalog):
        shown.append(f"{key} (collect and decide)")
    if key := server_key(catalog):
        shown.append(f"{key} (read visitors and models as well)")
    if shown:
        return "   ".join(shown)
    if not catalog.sources:
        return "none: the catalog has no sources, so nobody may ask; docs/catalog.md, Keys"
    named = ", ".join(catalog.sources)
    return f"the catalog holds only hashes of keys (sources: {named}); who made them has the keys"


def first_request(url: str, catalog: Catalog) -> str:
    """A request to paste into a terminal: a decision, or an event if there is nothing to decide."""
    key, placement = write_key(catalog), first_placement(catalog)
    if placement is None:
        event = {"type": "track", "event": "Page Viewed", "messageId": "m-1", "anonymousId": "me"}
        return curl(url, "/v1/events", key, event)
    return curl_decide(url, placement, key)


def curl_decide(url: str, placement: str, key: str | None, visitor: dict[str, str] | None = None) -> str:
    """A decide request to paste into a terminal."""
    return curl(url, "/v1/decide", key, {"visitor": visitor or {"anonymousId": "me"}, "placements": [placement]})


def curl(url: str, path: str, key: str | None, body: Mapping[str, object] | None = None) -> str:
    """A request to paste into a terminal; without a ``key`` it takes the one in ``$KEY``, to be set first.

    >>> print(curl("http://127.0.0.1:8700", "/v1/visitors/me", "sk_dev"))
      curl -s http://127.0.0.1:8700/v1/visitors/me -H 'Authorization: Bearer sk_dev'
    """
    if key is None:
        first, header = "  KEY=…   # a write key of yours\n", '"Authorization: Bearer $KEY"'
    else:
        first, header = "", shlex.quote(f"Authorization: Bearer {key}")
    line = f"{first}  curl -s {url}{path} -H {header}"
    if body is None:
        return line
    return f"{line} \\\n    -d {shlex.quote(json.dumps(body, separators=(',', ':'), ensure_ascii=False))}"
