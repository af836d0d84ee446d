"""``nextbest demo`` from end to end, on a slice of MovieLens-100k."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from background.ports import free_port
from cli.demo import movielens
from personalization.errors import Unavailable
from tests.requirements import missing, require

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(400)]

N_EVENTS = 1_000


@pytest.fixture(scope="module")
def dataset() -> Path:
    try:
        movielens.load()
    except Unavailable as error:
        missing("MovieLens-100k", str(error))
    return movielens.cache_dir() / movielens.WHEEL


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEXTBEST_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "cli", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=360,
        env=environment,
        check=False,
    )


def test_the_data_set_is_what_it_should_be(dataset: Path) -> None:
    data = movielens.load(dataset)
    assert (len(data.ratings), len(data.people), len(data.films)) == (100_000, 943, 1_682)
    assert list(data.ratings) == sorted(data.ratings, key=lambda r: (r.timestamp_s, r.user, r.item))


def test_demo_end_to_end(dataset: Path, tmp_path: Path) -> None:
    require("redis")
    done = demo(
        *("--up", "--exit", "--json", "--events", str(N_EVENTS), "--dataset", str(dataset)),
        *("--port", str(free_port()), "--data-dir", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["events"] == N_EVENTS
    # What happens is told from the first second: what is started, what is ready, and how the ratings go.
    for words in (
        "starting redis, folder, learner, projector, api",
        "learner is ready",
        "Everything is up",
        " ratings sent; ",
    ):
        assert words in done.stderr
    assert (result["lost"], result["duplicates"]) == (0, 0)
    # The comparisons are a matter of arithmetic: exactly the same on any machine.
    assert result["decisions"] == 960
    assert result["hit_rate"]["uniform"] == pytest.approx(0.2382, abs=1e-4)
    assert result["hit_rate"]["most_popular"] == pytest.approx(0.3937, abs=1e-4)
    assert result["hit_rate"]["nextbest"] > result["hit_rate"]["uniform"]
    assert result["difference"]["low"] < result["difference"]["mean"] < result["difference"]["high"]
    assert 0 < result["decide_ms"]["p50"] <= result["decide_ms"]["p99"]
    assert 0 < result["freshness_ms"]["p50"] <= result["freshness_ms"]["p99"]
    assert result["current_share"] > 0.8


def test_a_server_that_is_not_there_is_one_sentence(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys\nfrom cli.demo import transport\ntransport.RETRY_FOR_S = 0.2\n"
        f"sys.argv = ['nextbest', 'demo', '--dataset', {str(dataset)!r}, '--url', 'http://127.0.0.1:{free_port()}']\n"
        "from cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "start one with `nextbest demo --up`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_bytes(b"PK\x05\x06" + bytes(18))
    done = demo("--dataset", str(other))
    assert done.returncode == 1
    assert "holds no MovieLens-100k" in done.stderr


def test_ctrl_c_in_the_middle_leaves_nothing_running(dataset: Path, tmp_path: Path) -> None:
    require("redis")
    port = str(free_port())
    arguments = ["--up", "--dataset", str(dataset), "--port", port, "--data-dir", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert any("Everything is up" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
        assert process.wait(60) == 0
    assert "Traceback" not in said
    assert "Stopped." in said
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0
