"""The package stands alone: the standard library of Python 3.9 is all it needs."""

from __future__ import annotations

import ast
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import nextbest_client
from nextbest_client.options import OptionFields, Options

MODULES = sorted(Path(nextbest_client.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_needs_the_standard_library_alone(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    assert {name.split(".")[0] for name in named} <= {"nextbest_client", *sys.stdlib_module_names}


def misspelt(client: nextbest_client.Client, visitor: nextbest_client.Visitor) -> None:
    """Nobody calls it: whoever checks types is told of each of these."""
    nextbest_client.Client("https://nextbest.example", "sk", timout_s=0.3)  # type: ignore[call-arg]
    client.track(visitor, "Viewed", contxt={})  # type: ignore[call-arg]
    client.page(visitor, timestamp="now")  # type: ignore[arg-type]


def test_options_are_the_same_as_arguments() -> None:
    assert set(OptionFields.__annotations__) == {each.name for each in fields(Options)}


def test_its_types_are_seen() -> None:
    assert (MODULES[0].parent / "py.typed").exists()
    assert set(nextbest_client.__all__) <= set(vars(nextbest_client))
