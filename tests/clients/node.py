"""The JavaScript clients: installed once by npm from the lock file beside this, and run by Node."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.requirements import missing, require
from tests.servers import ROOT

HERE = Path(__file__).resolve().parent
INSTALLED = ROOT / ".cache" / "npm-clients"
INSTALL_TIMEOUT_S = 300
RUN_TIMEOUT_S = 60


def installed() -> Path:
    """The folder with the packages and our scripts (several checkouts or workers may ask at the same time)."""
    install(HERE, INSTALLED)
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, INSTALLED / script.name)  # Node looks for packages beside the script
    return INSTALLED


def install(asked: Path, target: Path) -> None:
    """Install what ``package.json`` and the lock file beside it ask for, once."""
    require("node")
    require("npm")
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, wanted = target / "complete", (asked / "package-lock.json").read_text()
        if done.exists() and done.read_text() == wanted:
            return
        done.unlink(missing_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(asked / name, target / name)
        # esbuild's program comes as a package of its own: no script has to fetch anything.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        ran = subprocess.run(
            command, cwd=target, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
        if ran.returncode:
            missing("what npm installs", f"npm could not install {asked / 'package.json'}: {ran.stderr[-500:]}")
        done.write_text(wanted)


def run(script: str, instructions: Any) -> Any:
    """What a script of ours prints, as JSON; it is handed its instructions as JSON."""
    command = ["node", str(installed() / script), json.dumps(instructions)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bundle(script: str, target: Path) -> None:
    """Write a script of ours, with all it imports, as one file for browsers."""
    folder = installed()
    esbuild = str(folder / "node_modules" / ".bin" / "esbuild")
    command = [esbuild, script, "--bundle", "--format=iife", f"--outfile={target}"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert built.returncode == 0, built.stderr
