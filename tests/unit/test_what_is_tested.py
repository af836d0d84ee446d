"""What lies beside the tests is tested, whatever the environment they run in has installed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from tests.running import ROOT


@pytest.mark.parametrize("package", sorted(each.parent.name for each in ROOT.glob("*/__init__.py")))
def test_each_package_is_the_one_beside_the_tests(package: str) -> None:
    """Another checkout's may be the one installed, and ``python -P`` leaves the working folder out."""
    assert Path(str(import_module(package).__file__)) == ROOT / package / "__init__.py"
