"""A copy of the project that a recipe is followed in, as a contributor would in a fresh clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "*.egg-info", "benchmarks", "integration")


class Copied:
    """The copy, and what a recipe changed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        shutil.copytree(ROOT, self.folder, ignore=_LEFT_OUT)
        self.changed: set[str] = set()

    def write(self, path: str, text: str) -> None:
        """A new file."""
        target = self.folder / path
        assert not target.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        self.changed.add(path)

    def add_below(self, path: str, anchor: str, *lines: str) -> None:
        """Lines below the one that ``anchor`` ends."""
        target = self.folder / path
        text = target.read_text()
        assert text.count(anchor) == 1, f"{anchor!r} stands {text.count(anchor)} times in {path}"
        target.write_text(text.replace(anchor, anchor + "".join(f"{line}\n" for line in lines)))
        self.changed.add(path)

    def replace(self, path: str, old: str, new: str) -> None:
        """A line in place of another."""
        target = self.folder / path
        text = target.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
        target.write_text(text.replace(old, new))
        self.changed.add(path)

    def run(self, *arguments: str, **environment: str) -> str:
        """Run Python in it; what it printed."""
        told = {**os.environ, "PYTHONPATH": str(self.folder), **environment}
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=told, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def paths_named(heading: str) -> set[str]:
    """The files of ours that a recipe names."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    _, _, rest = text.partition(f"### {heading}\n")
    recipe = rest.split("\n#")[0]
    assert recipe.strip(), f"no recipe is called {heading!r}"
    assert len(recipe.strip().splitlines()) <= 10
    return {word.strip("`:,.;") for word in recipe.split() if "/" in word and word.startswith("`")}
