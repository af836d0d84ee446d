from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from operations.csv_file import read_rows
from operations.simulation.table import by_label, by_log, by_rewards
from personalization.errors import InvalidInput


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "visitors.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_cells_are_numbers_categories_or_missing(tmp_path: Path) -> None:
    path = write(tmp_path, "\ufeff,age, device ,label\n0,31, phone,a\n1,,nan,b\n\n")
    rows = read_rows(path, {"label": "--label"})
    assert [row.context({"label"}) for row in rows] == [{"age": 31.0, "device": "phone"}, {}]
    assert [row.place for row in rows] == ["visitors.csv:2", "visitors.csv:3"]


def test_what_is_gzipped_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, gzip.compress(b"age,label\n31,a\n"))
    assert len(read_rows(path, {})) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"age,label\n", "no rows"),
        (b"age,label\n1,a\n2\n", "visitors.csv:3: has 1 cells, the header has 2"),
        (b"age,label\n1,\n", "visitors.csv:2: column 'label' is empty"),
        (b"age,age,label\n1,2,a\n", "names a column twice: age"),
        (b"age,kind\n1,2\n", "--label: visitors.csv has no column 'label'; it has age, kind"),
        (b"\xff\xfe,label\n1,a\n", "no CSV file in UTF-8"),
        (b'age,label\n"1"2,a\n', "no CSV file in UTF-8"),
        (gzip.compress(b"age,label\n1,a\n", mtime=0)[:-6], "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        by_label(write(tmp_path, content), "label")


def test_a_reward_is_a_number(tmp_path: Path) -> None:
    path = write(tmp_path, "age,a,b\n1,0.5,1\n2,0.5,much\n")
    with pytest.raises(InvalidInput, match=r"visitors.csv:3: column 'b' is 'much'"):
        by_rewards(path, ["a", "b"])


def test_a_propensity_is_a_probability(tmp_path: Path) -> None:
    path = write(tmp_path, "shown,clicked,p\na,1,0.5\nb,0,0\n")
    with pytest.raises(InvalidInput, match=r"visitors.csv:3: column 'p' is 0"):
        by_log(path, "shown", "clicked", "p")
