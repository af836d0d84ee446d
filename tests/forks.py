"""Processes forked from a server that has imported everything: starting one costs milliseconds, not seconds."""

from __future__ import annotations

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["stream.folding.main", "stream.learning.main", "tests.contract.eventlog.worker"])
