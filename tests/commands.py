"""``nextbest`` commands as tests run them: from the arguments to the exit code, in this process.

What an interpreter loads for a command is a second of a processor. What commands do as processes of their own
(signals, terminals, what is loaded) has tests of its own, and the runbook's are run as people type them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from unittest import mock

from click.testing import CliRunner

from cli.main import main


def ran(arguments: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """How ``nextbest`` ended in that environment, what it printed, and what it said on its error output.

    A traceback, which would be exit code 1 of a process, is raised. Environment and streams are this process's own
    again afterwards: one command at a time.
    """
    with (
        mock.patch.dict(os.environ, environment, clear=True),
        mock.patch.object(sys, "argv", ["nextbest", *arguments]),
        CliRunner().isolation() as (out, err, _),
        ThreadPoolExecutor(1) as thread,  # a browser's driver may have an event loop in this one
    ):
        code = thread.submit(_exit_code).result()
        sys.stdout.flush()
        sys.stderr.flush()
        return subprocess.CompletedProcess(arguments, code, out.getvalue().decode(), err.getvalue().decode())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as ended:
        return cast(int, ended.code)
    return 0


def no_settings() -> dict[str, str]:
    """This process's environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
