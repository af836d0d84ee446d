"""The examples in docstrings are run: of every package that is installed."""

from __future__ import annotations

import tomllib

from tests.servers import ROOT


def test_the_doctests_of_every_package_are_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    options = project["tool"]["pytest"]["ini_options"]
    assert set(packages) <= set(options["testpaths"])
    assert "--doctest-modules" in options["addopts"]
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks", "dashboards", "tests"} == set(packages)
