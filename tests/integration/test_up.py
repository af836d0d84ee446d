"""``nextbest up``: ready, restarted when something dies, gone without a trace, everything kept."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis

from background.ports import free_port
from cli import replay as command
from personalization.errors import Refused
from tests.commands import no_settings, ran
from tests.requirements import require
from tests.running import ROOT, Up, alive, begin, start, stop, until
from tests.standing_still import stand_still

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def ups(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    require("redis")
    started: list[Up] = []

    def one(*more: str, wait: bool = True) -> Up:
        started.append(begin(tmp_path / "data", *more))
        if wait:
            started[-1].wait_ready()
        return started[-1]

    yield one
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
        up.process.wait()
        assert up.process.stdout is not None
        up.process.stdout.close()
        until(partial(are_gone, up), "children gone")


FOLLOWED = """
placements: {home.hero: {content: [one], default: one}}
content: {one: {body: {title: One}}, two: {body: {title: Two}}}
sources: {site: {write_keys: [pk_dev], server_keys: [sk_dev], consent_default: granted}}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for tests that neither stop it nor count on what it was before; its catalog can be changed."""
    require("redis")
    catalog = tmp_path_factory.mktemp("catalog")
    (catalog / "all.yaml").write_text(FOLLOWED)
    up = start(tmp_path_factory.mktemp("data"), "--catalog", str(catalog))
    up.catalog = catalog
    yield up
    stop(up)


def are_gone(up: Up) -> bool:
    return not any(alive(pid) for pid in up.pids.values())


def refused(*arguments: str) -> str:
    """What a ``nextbest up`` says on its error output that does not start."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", "up", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**no_settings(), "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr


def test_up_serves_stops_and_keeps(ups: Callable[..., Up], tmp_path: Path) -> None:
    up = ups("--api-processes", "2")
    assert sorted(up.pids) == ["api", "api-1", "folder", "learner", "projector", "redis"]
    up.track("a1", "m1")
    until(lambda: up.event_count("a1") == 1, "the event reaches its state")
    decide = {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]}
    answers = []

    def personalised() -> bool:
        answers.append(up.call("POST", "/v1/decide", decide, key="pk_dev"))
        return bool(answers[-1]["decisions"][0]["tier"] == "personalised")

    until(personalised, "an answer from state and model")
    first = answers[-1]
    assert first["stateRevision"] == 1

    # A second one is refused in one sentence, and disturbs nothing.
    second = refused("--data-dir", str(tmp_path / "data"), "--port", str(free_port()))
    assert f"in use by another `nextbest up` (process {up.process.pid})" in second
    assert len(second.splitlines()) == 1

    # So is one on the same port.
    port = up.url.rpartition(":")[2]
    third = refused("--data-dir", str(tmp_path / "other"), "--port", port)
    assert "or choose another with --port" in third
    assert len(third.splitlines()) == 1

    # Ctrl-C: everything stops, in order, nothing is left.
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert not any(alive(pid) for pid in up.pids.values())

    # Started again, it knows what it knew; the decision ids of before are still its own.
    again = ups()
    assert again.event_count("a1") == 1
    reward = {"value": 1.0, "messageId": "r1", "final": True}
    again.call("POST", f"/v1/decisions/{first['decisions'][0]['decisionId']}/reward", reward, key="pk_dev")
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(60) == 0
    assert not any(alive(pid) for pid in again.pids.values())


def test_what_dies_is_restarted_and_nothing_is_lost(ups: Callable[..., Up], tmp_path: Path) -> None:
    up = ups()
    n = 0
    for name in ("folder", "learner", "redis", "api"):
        n += 1
        up.track("a2", f"m{n}")
        os.kill(up.pids[name], signal.SIGKILL)
        up.wait_for_line(f"{name} was ended by SIGKILL; starting it again in 0.2 s")
        up.wait_for_line(f"{name} is back")
    # A client's connection waits in the supervisor's socket while the API is away: no request is refused.
    up.track("a2", "last")
    until(lambda: up.event_count("a2") == n + 1, "every event, before and after each death, is in the state")

    # The states are what a plain loop over the log gives; one that is not is named.
    assert "Every stored state is what the log says." in replay_check(up, 0)
    with Redis.from_url(up.redis_url()) as redis:
        redis.set("nextbest:visitor:{a:a2}", redis.get("nextbest:visitor:{a:a2}")[:-1] + b"?")
    assert "Different from what is stored: a:a2" in replay_check(up, 1)
    with pytest.raises(Refused, match="encrypted under another secret than those given here"):
        replay(1, "--check", NEXTBEST_REDIS=up.redis_url(), NEXTBEST_DATA_DIR=str(tmp_path / "elsewhere"))

    # While it runs nothing is written anew; of the stopped data folder everything is.
    data_dir = str(tmp_path / "data")
    with pytest.raises(Refused, match="a folder is at work"):
        replay(1, "--rebuild", "--data-dir", data_dir)
    assert "Every stored state is what the log says." not in replay(1, "--check", "--data-dir", data_dir)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert "all written anew" in replay(0, "--rebuild", "--data-dir", data_dir)
    assert "Every stored state is what the log says." in replay(0, "--check", "--data-dir", data_dir)
    again = ups()
    assert again.event_count("a2") == n + 1


def replay_check(up: Up, expected: int) -> str:
    return replay(expected, "--check", NEXTBEST_REDIS=up.redis_url(), NEXTBEST_DATA_DIR=str(up.data_dir))


def replay(expected: int, *arguments: str, **settings: str) -> str:
    """``nextbest replay``: what it said, having ended as ``expected``; raises what it refuses."""
    done = CliRunner().invoke(command.replay, arguments, env=settings)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == expected, done.output
    return done.output


def test_the_next_one_begins_when_all_that_a_killed_one_left_is_gone(ups: Callable[..., Up]) -> None:
    up = ups()
    for n, slow in enumerate(("api", "learner"), 1):
        up.track("a3", f"m{n}")
        stand_still(up.pids[slow])  # until it goes on, it does not end
        up.process.kill()
        up.process.wait()
        again = ups("--port", up.url.rpartition(":")[2], wait=False)
        try:
            left = f"a `nextbest up` that was killed (process {up.process.pid}) left to end"
            assert f"waiting for what {left}" in again.wait_for_line("")
        finally:
            os.kill(up.pids[slow], signal.SIGCONT)
        again.wait_for_line("starting ")
        assert not any(alive(pid) for pid in up.pids.values())
        again.wait_ready()
        assert again.url == up.url
        until(lambda up=again, n=n: up.event_count("a3") == n, "the events acknowledged before each kill")  # type: ignore[misc]  # a lambda
        up = again


CATALOG = """
placements: {news.top: {content: [one], default: one}}
content: {one: {body: {title: One}}, two: {body: {title: Two}}}
sources:
  app: {write_keys: ['sha256:%s'], consent_default: granted}
  site: {write_keys: [pk_news], server_keys: [sk_news], consent_default: granted}
"""


def beside(*arguments: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
    """A command beside it, with no settings."""
    done = ran(arguments, no_settings())
    assert done.returncode == expected, done.stdout + done.stderr
    return done


def test_what_it_shows_works_and_commands_beside_it_find_it(ups: Callable[..., Up], tmp_path: Path) -> None:
    catalog, data = tmp_path / "catalog", tmp_path / "data"
    catalog.mkdir()
    (catalog / "all.yaml").write_text(CATALOG % ("0" * 64))
    up = ups("--catalog", str(catalog))
    said = "".join(up.said)

    # Keys and placement are the catalog's, and the request is answered as it stands there.
    assert "pk_news (collect and decide)" in said
    assert "sk_news (read" in said
    assert not [word for word in ("pk_dev", "home.hero", "0" * 64, "export", "erase") if word in said]
    request = said.partition("Try it:")[2].partition("Ctrl-C")[0]
    require("curl")
    answer = subprocess.run(["sh", "-c", request], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(answer.stdout)["decisions"][0]["contentId"] == "one"

    # So do the addresses of metrics, at fixed distances from the API's port.
    port = int(up.url.rpartition(":")[2])
    metrics = next(line for line in up.said if line.startswith("  metrics"))
    for address in re.findall(r"http://\S+/metrics", metrics):
        with urllib.request.urlopen(address, timeout=10) as page:
            assert b"nextbest_" in page.read()
    if port < 62_000:
        assert (
            f"folder http://127.0.0.1:{port + 1_000}/metrics, learner http://127.0.0.1:{port + 2_000}/metrics, "
            f"api http://127.0.0.1:{port + 3_000}/metrics" in metrics
        )
    # Each port is for one thing: the API tells nothing of how it is, and nobody decides beside its door.
    assert {each["status"] for each in map(up.readiness, ("api", "folder", "learner"))} == {"ready"}
    inner = re.findall(r"api (http://\S+)/metrics", metrics)[0]
    for address in (f"{up.url}/metrics", f"{up.url}/readyz", f"{inner}/v1/decide"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address, timeout=10)
    # Nothing here is for others to read.
    kept = [path for path in data.rglob("*") if not path.is_symlink()]
    assert [path for path in kept if path.stat().st_mode & 0o077] == []
    assert any("appendonly" in path.name for path in kept)

    # Whoever names its data folder talks to it, and is told so.
    here = ("--data-dir", str(data))
    listed = beside("history", *here)
    assert "talking to `nextbest up` on" in listed.stderr
    assert up.url in listed.stderr
    assert "1" in listed.stdout
    assert "epoch 1, 4 partitions" in beside("epoch", *here, "show").stdout
    assert "Every stored state is what the log says." in beside("replay", "--check", *here).stdout
    base = tmp_path / "base"
    beside("replay", "--save-base", str(base), *here)
    assert base.stat().st_mode & 0o077 == 0

    # What is rolled back stays so, through a restart and a save that changes nothing.
    (catalog / "all.yaml").write_text((CATALOG % ("0" * 64)).replace("[one], default: one", "[two], default: two"))
    up.wait_for_line("catalog version 2 published")
    assert "is in force, the same as version 1" in beside("rollback", "1", *here).stdout
    (catalog / "all.yaml").touch()
    up.wait_for_line("version 3 (a rollback to version 1")
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    assert not (data / "running.json").exists()
    assert "no `nextbest up` runs on" in beside("history", *here, expected=1).stderr

    again = ups("--catalog", str(catalog))
    assert any(line.startswith("  catalog    version 3 (a rollback to version 1") for line in again.said)
    body = {"visitor": {"anonymousId": "a7"}, "placements": ["news.top"]}
    assert again.call("POST", "/v1/decide", body, key="pk_news")["decisions"][0]["contentId"] == "one"
    # What is changed replaces it, and that is said.
    (catalog / "all.yaml").write_text((CATALOG % ("0" * 64)).replace("Two", "Three"))
    again.wait_for_line("replaces version 3 (a rollback to version 1")
    again.wait_for_line("catalog version 4 published")


def test_a_start_that_fails_leaves_nothing_running(ups: Callable[..., Up], tmp_path: Path) -> None:
    catalog, data = tmp_path / "catalog", tmp_path / "data"
    catalog.mkdir()
    (catalog / "all.yaml").write_text("placements: {home: {content: [none], default: none}}")
    said = refused("--data-dir", str(data), "--catalog", str(catalog), "--port", str(free_port()))
    assert "all.yaml:1" in said
    assert not (data / "running.json").exists()
    ups()  # the folder's lock, its Redis's too, is free at once


def test_a_saved_catalog_is_in_force_at_once(shared: Up) -> None:
    saved = shared.catalog / "all.yaml"

    def shown() -> str:
        body = {"visitor": {"anonymousId": "a4"}, "placements": ["home.hero"]}
        return str(shared.call("POST", "/v1/decide", body)["decisions"][0]["contentId"])

    assert shown() == "one"
    saved.write_text(FOLLOWED.replace("[one], default: one", "[two], default: two"))
    until(lambda: shown() == "two", "the saved catalog is served")
    # A mistake is named, and the version in force stays.
    saved.write_text(FOLLOWED.replace("[one], default: one", "[three], default: three"))
    shared.wait_for_line("catalog not published")
    assert shown() == "two"


def test_what_hangs_is_started_again_and_nothing_is_lost(shared: Up) -> None:
    up = shared
    up.track("a5", "m1")
    hung = ("folder", "learner", "api")
    for name in hung:
        stand_still(up.pids[name])
    left = {f"{name} has not answered for 15 s; starting it again" for name in hung}
    left |= {f"{name} is back" for name in hung}
    while left:
        line = up.wait_for_line("")
        left = {words for words in left if words not in line}
    assert not any(alive(up.pids[name]) for name in hung)
    assert alive(up.pids["redis"]), "it hung for nobody"
    up.track("a5", "m2")
    until(lambda: up.event_count("a5") == 2, "events of before and after are in the state")


def test_a_redis_that_hangs_for_a_while_is_waited_for(shared: Up) -> None:
    up = shared
    up.track("a6", "m1")
    stand_still(up.pids["redis"])
    try:
        until(lambda: "redis" in up.readiness("api")["warnings"], "it is told")
        body = {"visitor": {"anonymousId": "a6"}, "placements": ["home.hero"]}
        assert up.call("POST", "/v1/decide", body)["decisions"][0]["tier"] in ("rules", "contextual")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            up.call("POST", "/v1/events", {"type": "page", "anonymousId": "a6", "messageId": "m2"})
    finally:
        os.kill(up.pids["redis"], signal.SIGCONT)
    up.track("a6", "m2")
    until(lambda: up.event_count("a6") == 2, "events of before and after are in the state")
    until(lambda: up.readiness("api")["warnings"] == [], "all is well again")
    assert alive(up.pids["redis"])
