"""Whatever stands in a file, the loader answers with a catalog or with mistakes, never with a traceback."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalog_errors import CatalogMistake
from config.catalog_shape import catalog_shape
from config.loader import load_catalog, shipped_catalog
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import InvalidCatalog, compile_catalog
from personalization.errors import InvalidInput
from state.catalog_store import decode_catalog, encode_catalog

TEXTS = [file.read_bytes() for file in sorted(shipped_catalog().glob("*.yaml"))]
SNIPPETS = [b"\t", b":", b"- ", b"&x ", b"*x", b"<<: ", b"{", b"}", b"[", b"'", b'"', b"\n", b"|", b"null", b".nan"]
SNIPPETS += [
    b"\xff",
    b"\x00",
    b"1e999",
    b"!!binary ",
    b"? ",
    b"#",
    b"%",
    b'"\\ud800"',
    b"[[[[",
    b"0",
    b"-1",
    b"\xc2\x85",
]


def outcome(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.yaml").write_bytes(data)
        catalog, errors = load(Path(folder))
    assert (catalog is None) == bool(errors)
    assert all(isinstance(error, CatalogMistake) and error.message for error in errors)
    assert all(len(str(error).splitlines()) == 1 for error in errors)
    if catalog is not None:
        assert compile_catalog(catalog, 1).catalog == decode_catalog(encode_catalog(catalog)[1])


def load(folder: Path) -> tuple[Catalog | None, list[InvalidInput]]:
    try:
        return load_catalog(folder), []
    except InvalidCatalog as invalid:
        return None, invalid.errors


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes(data: bytes) -> None:
    outcome(data)


@given(
    st.sampled_from(TEXTS),
    st.lists(st.tuples(st.integers(0, 6_000), st.integers(0, 8), st.sampled_from(SNIPPETS)), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_a_real_file_with_slips(text: bytes, slips: list[tuple[int, int, bytes]]) -> None:
    for at, cut, snippet in slips:
        at %= len(text)
        text = text[:at] + snippet + text[at + cut :]
    outcome(text)


VALUES = [
    "",
    "null",
    "~",
    "3",
    "-0.5",
    "x",
    "[]",
    "{}",
    "[1, x]",
    "{a: 1}",
    "[[]]",
    "{a: {b: [c]}}",
    "30m",
    "2026-01-01",
]


@pytest.mark.parametrize("name", ["placements", "content", "segments", "affinities", "sources"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_value_in_any_field(name: str, data: st.DataObject) -> None:
    item = getattr(catalog_shape().fields[name].shape, "item", None)
    fields = sorted(getattr(item, "fields", {"": None}))
    chosen = data.draw(st.dictionaries(st.sampled_from(fields), st.sampled_from(VALUES), max_size=5))
    lines = "".join(f"    {field}: {value}\n" for field, value in chosen.items() if field)
    whole = data.draw(st.sampled_from(VALUES))
    outcome(f"{name}:\n  x: {whole if not lines else ''}\n{lines}".encode())
