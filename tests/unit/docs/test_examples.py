"""Every piece of a catalog that a page shows can be read as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.body_checks import unsafe_bodies
from config.catalog_shape import catalog_shape
from config.convert import Converter
from config.yaml_tree import Fields, parse_yaml
from personalization.catalog.catalog import Catalog
from tests.servers import ROOT

_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{n}")
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for n, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
]


def test_there_are_some() -> None:
    assert len(BLOCKS) > 2


@pytest.mark.parametrize("block", BLOCKS)
def test_a_page_shows_yaml_that_the_loader_reads(block: str, tmp_path: Path) -> None:
    tree = parse_yaml("page.yaml", block.encode())
    assert isinstance(tree, Fields)
    shape = catalog_shape()
    if not {key.text for key, _ in tree.fields} <= shape.fields.keys():
        return  # of another kind: a compose file, for one
    converter = Converter()
    read = {
        key.text: converter.convert(value, shape.fields[key.text].shape, key.text) for key, value in tree.fields
    }
    told = [str(mistake) for mistake in converter.mistakes.found if "is missing" not in mistake.message]
    assert told == [], "pages leave out what they are not about, and write nothing wrong"
    assert list(unsafe_bodies(Catalog(**{"placements": {}, "content": {}, **read}))) == []
