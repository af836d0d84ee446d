"""What npm installs is pinned by content: a hash each, and no address that only some can reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.lighthouse.__main__ import HERE as LIGHTHOUSE
from tests.clients.node import HERE as CLIENTS

ASKED = pytest.mark.parametrize("folder", [CLIENTS, LIGHTHOUSE], ids=lambda folder: folder.name)


@ASKED
def test_every_package_is_pinned_by_its_hash_and_by_no_address(folder: Path) -> None:
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for name, package in packages.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


@ASKED
def test_what_is_asked_for_is_one_version_each(folder: Path) -> None:
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
