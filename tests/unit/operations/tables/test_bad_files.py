"""Whatever is wrong with a file is named: file, line, column, and what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from operations.simulation.table import by_label, by_log, by_rewards
from personalization.errors import InvalidInput


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "visitors.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"age,label\n", "no rows"),
        (b"age,label\n1,a\n2\n", "visitors.csv:3: has 1 cells, the header has 2"),
        (b"age,label\n1,\n", "visitors.csv:2: column 'label' is empty"),
        (b"age,age,label\n1,2,a\n", "names a column twice: age"),
        (b"age,kind\n1,2\n", "--label: visitors.csv has no column 'label'; it has age, kind"),
        (b"age,Label\n1,2\n", r"no column 'label'; did you mean 'Label'\? It has age, Label"),
        (b"\xff\xfe,label\n1,a\n", "visitors.csv:1: there or soon after, text is not utf-16"),
        (b'age,label\n"1"2,a\n', "visitors.csv:2: a quoted cell goes on after its closing quote"),
        (b'age,label\n1,a\n"2,b\n3,a\n', "visitors.csv:3: a quote begins there that does not end"),
        ("age,label\nü,a\nö,a\n".encode() + b"\xfc,a\n", "visitors.csv:4: is UTF-8, but the byte fc there is not"),
        (b"PK\x03\x04" + bytes(40), "is an Excel workbook or a zip archive: save the sheet as CSV"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "it is no text"),
        (b"PAR1" + bytes(40), "is a Parquet file"),
        (b'{"age": 1, "label": "a"}\n', "looks like JSON"),
        (b"age,label\n" + b"1" * (1 << 21), "visitors.csv:2: is longer than"),
        (b"age,label\n" + b"".join(b"1,a%d\n" % n for n in range(30)), "30 different values in 30 rows"),
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
