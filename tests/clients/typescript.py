"""Our client for TypeScript, built by its own script as it is when it is published."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.clients import node
from tests.servers import ROOT

SOURCE = ROOT / "clients" / "typescript"


def built(folder: Path) -> Path:
    """A folder whose ``node_modules`` hold the package, and nothing else of ours."""
    package = folder / "node_modules" / "@nextbest" / "client"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("dist", "node_modules", "tests"))
    done = run(package, "node", "build.mjs")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the packages that tests have."""
    tools = node.installed() / "node_modules" / ".bin"
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=node.RUN_TIMEOUT_S, check=False
    )
