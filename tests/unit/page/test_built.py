"""What is served of the page script is what its sources give, and is small."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from api.sdk.routes import CORE, SECOND
from api.sdk.settings import preamble
from tests.clients import node
from tests.running import ROOT

BUILT = ROOT / "api" / "sdk" / "built"
LONGEST_PREAMBLE = preamble({"consent": "granted", "gpc": False, "days": [395, 395]})


def test_the_built_files_are_what_the_sources_give(tmp_path: Path) -> None:
    node.installed()
    subprocess.run([ROOT / "scripts" / "page", tmp_path], check=True, cwd=ROOT, timeout=60)
    for path in BUILT.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), f"run scripts/page: {path.name} is older"


def test_every_page_loads_no_more_than_four_kilobytes() -> None:
    assert len(gzip.compress(LONGEST_PREAMBLE + CORE.text, 9)) <= 4096


def test_all_switches_together_are_no_more_than_eight_kilobytes() -> None:
    assert len(SECOND.zipped) <= 8_000


def test_the_core_demands_the_second_file_of_its_own_build() -> None:
    assert f"/sdk/nextbest-more.{SECOND.hash}.js".encode() in CORE.text


@pytest.mark.parametrize("forbidden", [b"eval(", b"new Function", b"document.write", b'"style"', b"insertAdjacent"])
def test_nothing_is_in_it_that_a_strict_policy_forbids(forbidden: bytes) -> None:
    assert forbidden not in CORE.text + SECOND.text
