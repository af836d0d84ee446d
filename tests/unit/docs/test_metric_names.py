"""Every metric that a page of the documentation names is one that a process shows, by exactly that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from api.process.metrics import ApiMetrics
from stream.conversion_training import ConversionMetrics
from stream.influence_watch import InfluenceWatch
from stream.metrics import FolderMetrics, LearnerMetrics, ProjectorMetrics
from tests.servers import ROOT

PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "nextbest_" in path.read_text())
_NAME = re.compile(r"\bnextbest_(?!client\b)[a-z_]+")  # the client for Python is no metric
SUFFIXES = ("_bucket", "_sum", "_count")


def shown() -> set[str]:
    """Names as Prometheus has them: of a counter with ``_total``."""
    learner = CollectorRegistry()
    ConversionMetrics(learner)
    InfluenceWatch(learner)
    workers = [FolderMetrics(), LearnerMetrics(learner), ProjectorMetrics(lambda: 0.0)]
    names = set()
    for registry in (ApiMetrics().registry, *(worker.registry for worker in workers)):
        for family in registry.collect():
            names.add(family.name + ("_total" if family.type == "counter" else ""))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_a_page_names_is_shown(page: Path) -> None:
    named = set(_NAME.findall(page.read_text()))
    for suffix in SUFFIXES:
        named = {name.removesuffix(suffix) for name in named}
    assert named - shown() == set()


def test_the_runbook_is_among_the_pages() -> None:
    assert ROOT / "docs" / "runbook.md" in PAGES
