"""The page of the clients has every option, with the default that holds."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields

from nextbest_client import Options
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
PYTHON, TYPESCRIPT = PAGE.split("## TypeScript and JavaScript")
_ROW = re.compile(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", re.MULTILINE)


def test_every_option_of_python_is_told_with_its_default() -> None:
    said = dict(_ROW.findall(PYTHON))
    held = {each.name: "logs" if each.default is MISSING else str(each.default) for each in fields(Options)}
    assert said == held


def test_every_option_of_typescript_is_told_with_its_default() -> None:
    source = (ROOT / "clients" / "typescript" / "src" / "options.ts").read_text(encoding="utf-8")
    settled = source.split("return {")[1]
    held = {
        name: str(eval(value.replace("_", ""))) if value[0].isdigit() else value
        for name, value in re.findall(r"^    (\w+): ([\w *]+),$", settled, re.MULTILINE)
    }
    said = dict(_ROW.findall(TYPESCRIPT.split("## Codes")[0]))
    assert {name: said[name] for name in held} == held
    named = re.findall(r"^  (\w+)\??:", source.split("export interface Options {")[1].split("}")[0], re.MULTILINE)
    assert set(named) - {"url", "key"} == set(said)
