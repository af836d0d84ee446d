"""Previews and sizes of segments through real servers: what is asked about leaves no trace in Redis or the log."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.topics import DECISIONS, VISITOR_LOG
from tests.integration.site import NAMESPACE, Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
placements:
  hero:
    content: [pro, capped, plain]
    default: plain
  kept:
    content: [plain, capped]
    default: plain
    sticky: true
content:
  pro: {type: html, body: <p>pro</p>, when: traits.plan == "pro"}
  capped: {type: html, body: <p>capped</p>, cap: 3 per visitor}
  plain: {type: html, body: <p>plain</p>}
segments:
  readers: count("Read", within="7d") >= 2
  phones: device == "mobile"
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
VISITOR = {"anonymousId": "p1"}
OURS = re.compile(r"nextbest_(decision|events|fallbacks|model_faults|apprentice|unlogged|spool|scoring)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        for n in range(2):
            site.collect({"type": "track", "event": "Read", "messageId": f"r{n}", **VISITOR})
        site.collect({"type": "identify", "traits": {"plan": "free"}, "messageId": "i", **VISITOR})
        site.decide(VISITOR, "hero")
        until(lambda: site.up.event_count("p1") == 3, "all is folded")
        site.state("a:p1")
        yield site


def kept(site: Site) -> dict[str, Any]:
    """All that stands of visitors in Redis, the log, the spool, and what the API counted of decisions."""
    names = [
        name
        for kind in ("visitor", "folder", "timers", "aliases")
        for name in site.redis.scan_iter(match=f"{NAMESPACE}:{kind}:*")
    ]
    (address,) = re.findall(r"api (http://\S+/metrics)", "".join(site.up.said))
    with urllib.request.urlopen(address, timeout=10) as page:
        lines = page.read().decode().splitlines()
    return {
        "redis": {name: site.redis.dump(name) for name in sorted(names)},
        "log": [site.raw(VISITOR_LOG), site.raw(DECISIONS)],
        "spool": sorted(
            path.stat().st_size for path in Path(site.up.data_dir, "spool").rglob("*") if path.is_file()
        ),
        "metrics": [line for line in lines if OURS.match(line)],
    }


def test_a_preview_leaves_all_as_it_was(site: Site, tmp_path: Path) -> None:
    before = kept(site)
    assert all([before["redis"], *before["log"], before["metrics"]]), "there is something that could change"
    pro = {"traits": {"plan": "pro"}, "events": [{"event": "Read"}]}
    for body in (
        {"visitor": VISITOR},
        {"visitor": {**VISITOR, "userId": "u1"}, "facts": pro},
        {"facts": {"consent": {"personalization": True}}},
        {"visitor": VISITOR, "catalog": {"files": {"shop.yaml": CATALOG.replace("free", "gratis")}}},
    ):
        found = site.call("/v1/preview", body, "sk_dev")
        assert [each["placement"] for each in found["placements"]] == ["hero", "kept"]
    assert kept(site) == before


def test_a_command_previews_files_that_are_not_published(site: Site, tmp_path: Path) -> None:
    (tmp_path / "draft.yaml").write_text(CATALOG.replace('traits.plan == "pro"', 'traits.plan == "free"'))
    (tmp_path / "key").write_text("sk_dev")
    asked = ["--visitor", "p1", "--kind", "anonymous", "--placement", "hero", "--api", site.up.url]
    asked += ["--key-file", str(tmp_path / "key")]
    by_catalog, by_draft = site.command("preview", *asked), site.command("preview", str(tmp_path), *asked)
    assert "pro was not allowed: its rule asks for traits.plan == \"pro\", and traits.plan is 'free'." in by_catalog
    assert "pro was not" not in by_draft
    assert "pro (" in by_draft


def test_sizes_are_counted_listed_and_printed(site: Site) -> None:
    def sizes() -> list[int | None]:
        _, counted = site.request("GET", "/v1/segments")
        return [each["size"] for each in counted["segments"]]

    until(lambda: sizes() == [1, None], "the projector counted them again: of a few it does so every few seconds")
    rows = {row["name"]: row for row in map(json.loads, site.command("segments", "--json").splitlines())}
    assert (rows["readers"]["size"], rows["readers"]["of"]) == (1, 1)
    assert rows["phones"]["size"] is None
    status, page = site.request("GET", "/v1/segments/readers/visitors")
    assert (status, page["visitors"], page["cursor"]) == (200, [{"kind": "anonymous", "id": "p1"}], None)
