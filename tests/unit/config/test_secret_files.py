"""Secrets that stand in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.setting_values import PREFIX
from config.settings import InvalidSettings, Settings

OWN = "0123456789abcdef" * 2


@pytest.mark.parametrize("name", ["NEXTBEST_SECRET", "NEXTBEST_SECRET_BEFORE"])
def test_a_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(f" {OWN} \n")
    settings = Settings.from_environment({f"{name}_FILE": str(tmp_path / "secret")})
    assert getattr(settings, name.removeprefix(PREFIX).lower()) == f" {OWN} "
    with pytest.raises(InvalidSettings, match=f"{name}_FILE: is set, and {name} too"):
        Settings.from_environment({f"{name}_FILE": str(tmp_path / "secret"), name: OWN})


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe"])
def test_a_file_without_a_secret_is_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    with pytest.raises(InvalidSettings, match=r"NEXTBEST_SECRET_FILE: .*secret (cannot be read|is empty)"):
        Settings.from_environment({"NEXTBEST_SECRET_FILE": str(tmp_path / "secret")})
