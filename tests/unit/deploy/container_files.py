"""What Dockerfile, .dockerignore and compose.yaml say, read without an engine."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.servers import ROOT

CONTEXT = ROOT
"""Where ``docker build .`` runs."""


@dataclass
class Stage:
    """One ``FROM`` and what follows it."""

    name: str
    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]

    def last_command(self, instruction: str) -> list[str]:
        """The words of the last ``CMD`` or ``ENTRYPOINT`` in its exec form."""
        words = json.loads(self.all(instruction)[-1])
        assert all(isinstance(word, str) for word in words)
        return list(words)

    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for rest in self.all("ENV") for word in shlex.split(rest))

    def copies(self) -> list[tuple[str, list[str]]]:
        """Per ``COPY``: the stage it copies from ("": the build context) and its sources."""
        found = []
        for rest in self.all("COPY"):
            words = rest.split()
            flags = dict(word.split("=", 1) for word in words if word.startswith("--"))
            paths = [word for word in words if not word.startswith("--")]
            assert len(paths) >= 2, rest
            found.append((flags.get("--from", ""), paths[:-1]))
        return found


def stages() -> list[Stage]:
    """The Dockerfile's stages in order."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if not line.strip():
            continue
        name, rest = line.split(None, 1)
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            found.append(Stage(alias.strip() or str(len(found)), image.strip()))
        else:
            found[-1].instructions.append((name, rest.strip()))
    return found


def in_context(path: Path) -> bool:
    """Whether .dockerignore lets a file into the build: the last pattern that matches it or a folder above wins."""
    names = path.relative_to(CONTEXT).parts
    above = ["/".join(names[:n]) for n in range(1, len(names) + 1)]
    kept = True
    for line in (CONTEXT / ".dockerignore").read_text().split():
        pattern = line.removeprefix("!")
        anywhere = pattern.removeprefix("**/") if pattern.startswith("**/") else None
        if any(
            fnmatch.fnmatchcase(part, pattern)
            or (anywhere is not None and fnmatch.fnmatchcase(part.rpartition("/")[2], anywhere))
            for part in above
        ):
            kept = line.startswith("!")
    return kept


def compose(**variables: str) -> dict[str, Any]:
    """compose.yaml with ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?why}`` filled in."""

    def value(match: re.Match[str]) -> str:
        name, operator, rest = match["name"], match["operator"], match["rest"]
        if name in variables:
            return variables[name]
        assert operator == ":-", f"{name} is not set: {rest}"
        return rest

    text = (ROOT / "compose.yaml").read_text()
    filled = re.sub(r"\$\{(?P<name>\w+)(?:(?P<operator>:[-?])(?P<rest>[^}]*))?\}", value, text)
    return dict(yaml.safe_load(filled))
