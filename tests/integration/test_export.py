"""``nextbest export`` on a running installation: all that was decided and closed is in the file, each once."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventlog.topics import DECISIONS
from personalization.deciding.distribution import SCALE
from personalization.events.decision_record import decode_record
from tests.integration.site import Site
from tests.requirements import require
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

N_VISITORS = 60
CATALOG = """
influence: free
placements:
  home.hero:
    content: [red, green, blue]
    default: red
    window: 300ms
    policy: {name: uniform}
    rewards:
      - event: Clicked
    features: [traits.team, traits.age]
  side.bar:
    content: [red, green]
    default: red
    window: 300ms
    rewards:
      - event: Clicked
content:
  red: {type: html, body: <p>red</p>}
  green: {type: html, body: <p>green</p>}
  blue: {type: html, body: <p>blue</p>}
segments:
  north: traits.team == "north"
  phones: device == "mobile"
scores:
  fit:
    traits: [{when: traits.age > 25.0, points: 30}]
    tiers: {B: 0, A: 20}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""


ON_REDIS = pytest.mark.parametrize("site", ["redis_streams"], indirect=True)
"""For what is the same whatever the log is."""


@pytest.fixture(scope="module", params=["redis_streams", pytest.param("kafka", marks=pytest.mark.kafka)])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = {"NEXTBEST_ENCRYPT": "on"}
    if request.param == "kafka":
        kafka = request.getfixturevalue("kafka_server")
        settings |= {"NEXTBEST_KAFKA": kafka, "NEXTBEST_PARTITIONS": "4", "NEXTBEST_NAMESPACE": "nextbest"}
    with Site.open(tmp_path_factory, CATALOG, **settings) as site:
        if request.param == "kafka":
            site.log_url = f"kafka://{kafka}"
        yield site


@pytest.fixture(scope="module")
def decided(site: Site) -> dict[str, dict[str, Any]]:
    """Decisions by id, all closed; with what they brought under ``reward``."""
    found: dict[str, dict[str, Any]] = {}
    for n in range(N_VISITORS):
        visitor = {"anonymousId": f"v{n}"}
        traits = {"team": "=north" if n % 7 == 0 else "north" if n % 2 else "south", "age": 20 + n % 10}
        identify = {"type": "identify", **visitor, "traits": traits}
        decision = site.decide(visitor, "home.hero" if n % 3 else "side.bar", events=[identify])
        decision["reward"] = float(decision["contentId"] == "green")
        decision["traits"] = traits
        if decision["reward"]:
            site.reward(decision)
        found[decision["decisionId"]] = decision

    def closed() -> int:
        return len(site.outcomes("home.hero")) + len(site.outcomes("side.bar"))

    until(lambda: closed() == N_VISITORS, "all are closed")
    until(lambda: len(site.raw(DECISIONS)) >= N_VISITORS, "all are recorded")
    return found


def exported(site: Site, to: Path, what: str, *more: str) -> str:
    return site.command("export", what, "--to", str(to), *more)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_closed_decision_is_there_once_with_context_propensity_and_reward(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    to = tmp_path / "outcomes.jsonl"
    done = site.ran("export", "outcomes", "--to", str(to))
    assert done.stdout == f"{N_VISITORS} rows in {to}\n"
    assert done.stderr.startswith("nextbest: talking to")
    assert done.stderr.count("\n") == 1, "no bar where nobody looks"
    rows = {row["decision_id"]: row for row in lines(to)}
    assert len(lines(to)) == len(rows) == N_VISITORS
    assert rows.keys() == decided.keys()
    for decision_id, decision in decided.items():
        row = rows[decision_id]
        assert (row["arm"], row["reward"]) == (decision["contentId"], decision["reward"])
        assert row["propensity"] == decision["probability"]
        if row["placement"] == "home.hero":
            assert row["feature.traits.team"] == decision["traits"]["team"]
            assert row["feature.traits.age"] == decision["traits"]["age"]
    assert not [name for name in os.listdir(tmp_path) if name != to.name], "nothing is left beside it"


def test_every_record_of_a_decision_is_there_once_with_what_could_have_been_chosen(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    to = tmp_path / "decisions.jsonl"
    exported(site, to, "decisions", "--with-ids", "--placement", "home.hero")
    records = [decode_record(value) for _, _, value in site.raw(DECISIONS)]
    records = [record for record in records if record.choice.placement == "home.hero"]
    rows = {row["decision_id"]: row for row in lines(to)}
    assert len(lines(to)) == len(rows) == len({record.message_id for record in records})
    for record in records:
        row = rows[record.choice.decision_id]
        assert row["visitor_id"] == record.key
        assert row["visitor"] == record.unit.hex()
        assert row["eligible_arms"] == ["red", "green", "blue"]
        assert row["eligible_propensities"] == [weight / SCALE for weight in record.weights]


@ON_REDIS
def test_no_id_of_a_visitor_is_in_the_file_unless_it_is_asked_for(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for what in ("decisions", "outcomes", "scores", "segments"):
        to = tmp_path / f"{what}.csv"
        exported(site, to, what)
        text = to.read_text()
        assert not [n for n in range(N_VISITORS) if f"a:v{n}" in text]
        exported(site, to, what, "--with-ids")
        assert "a:v1" in to.read_text()


@ON_REDIS
def test_scores_and_segments_are_those_that_are_answered(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    scores, segments = tmp_path / "scores.jsonl", tmp_path / "segments.jsonl"
    exported(site, scores, "scores", "--with-ids")
    assert "only a request tells who is in phones" in exported(site, segments, "segments", "--with-ids")
    told = {row["visitor_id"]: row for row in lines(scores)}
    inside = {row["visitor_id"] for row in lines(segments) if row["segment"] == "north"}
    assert len(told) == len(lines(scores)) == N_VISITORS
    for n in range(N_VISITORS):
        answer = site.up.call("GET", f"/v1/visitors/v{n}")
        row = told[f"a:v{n}"]
        assert (row["value"], row["tier"]) == (answer["scores"]["fit"]["points"], answer["scores"]["fit"]["tier"])
        assert ("north" in answer["segments"]) == (f"a:v{n}" in inside)


@ON_REDIS
def test_duckdb_reads_the_parquet(site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    require("parquet")
    import duckdb

    to, as_json = tmp_path / "outcomes.parquet", tmp_path / "outcomes.jsonl"
    exported(site, to, "outcomes")
    exported(site, as_json, "outcomes")
    with duckdb.connect() as database:
        described = database.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '{to}')")
        types = dict(described.fetchall())
        sums = f"SELECT count(*), sum(reward), sum(reward / propensity) FROM '{to}'"
        n, reward, worth = database.execute(f'{sums} WHERE "feature.traits.age" >= 20').fetchall()[0]
        found = database.execute(f"SELECT decision_id, \"feature.traits.team\" FROM '{to}'").fetchall()
    rows = lines(as_json)
    of_hero = [row for row in rows if "feature.traits.age" in row]
    assert (n, reward) == (len(of_hero), sum(row["reward"] for row in of_hero))
    assert worth == pytest.approx(sum(row["reward"] / row["propensity"] for row in of_hero))
    assert sorted(found) == sorted((row["decision_id"], row.get("feature.traits.team")) for row in rows)
    assert types["reward"] == types["propensity"] == types["feature.traits.age"] == "DOUBLE"
    assert (types["decided_at_ms"], types["feature.traits.team"]) == ("BIGINT", "VARCHAR")
    assert types["holdout"] == "BOOLEAN"


@ON_REDIS
def test_simulate_finds_in_the_csv_what_the_log_says(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Of the policy that was in force, the off-policy value is what the decisions brought."""
    to = tmp_path / "outcomes.csv"
    exported(site, to, "outcomes", "--placement", "home.hero")
    with to.open() as file:
        names = csv.DictReader(file).fieldnames or []
    no_context = [
        name for name in names if not name.startswith("feature.") and name not in ("arm", "reward", "propensity")
    ]
    columns = (
        "--shown",
        "arm",
        "--reward",
        "reward",
        "--propensity",
        "propensity",
        "--ignore",
        ",".join(no_context),
    )
    found = json.loads(
        site.command("simulate", str(to), *columns, "--policy", "uniform", "--orders", "1", "--json")
    )
    rewards = [each["reward"] for each in decided.values() if each["placement"] == "home.hero"]
    assert found["rows"] == len(rewards)
    assert found["arms"] == ["blue", "green", "red"]
    value = found["policies"]["uniform"]["off_policy"]["snips"]["value"]
    assert value == pytest.approx(sum(rewards) / len(rewards), abs=1e-6)


KILLED = """
import os, signal, sys
from operations.exporting import log_export, progress
from cli.main import main

log_export.BATCH = 7
left = int(sys.argv.pop(1))
when = sys.argv.pop(1)
commit = progress.Progress.commit

def dying(self):
    global left
    left -= 1
    if left == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    commit(self)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

progress.Progress.commit = dying
main()
"""


def killed(site: Site, n: int, when: str, *arguments: str) -> int:
    """Export in a process that is killed before or after it notes for the ``n``-th time how far it is."""
    environment = {**os.environ, "NEXTBEST_DATA_DIR": str(site.up.data_dir)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    program = [sys.executable, "-P", "-c", KILLED, str(n), when, "export", *arguments]
    return subprocess.run(program, env=environment, capture_output=True, check=False).returncode


def test_an_export_that_was_killed_goes_on_to_the_same_bytes(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    require("parquet")
    # How a file is made of its rows has nothing to do with the log.
    for ending in ("csv",) if site.log_url.startswith("kafka") else ("csv", "jsonl", "parquet"):
        goes_on_to_the_same_bytes(site, tmp_path, ending)


def goes_on_to_the_same_bytes(site: Site, folder: Path, ending: str) -> None:
    whole, broken = folder / f"whole.{ending}", folder / f"broken.{ending}"
    exported(site, whole, "outcomes")
    arguments = ("outcomes", "--to", str(broken))
    resume: tuple[str, ...] = ()
    for n, when in ((2, "after"), (2, "before"), (1, "after")):
        assert killed(site, n, when, *arguments, *resume) == -signal.SIGKILL
        assert not broken.exists()
        resume = ("--resume",)
    assert exported(site, broken, "outcomes", "--resume").startswith(f"{N_VISITORS} rows")
    assert broken.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in folder.iterdir() if path.suffix == f".{ending}") == [
        broken.name,
        whole.name,
    ]
    assert not list(folder.glob(f"{broken.name}.*")), "nothing is left beside it"


@ON_REDIS
def test_an_export_goes_on_only_as_it_was_begun(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    to = tmp_path / "o.csv"
    assert killed(site, 2, "after", "outcomes", "--to", str(to)) == -signal.SIGKILL
    other = site.ran("export", "outcomes", "--to", str(to), "--resume", "--all")
    assert other.returncode == 1
    assert "closed_by_all: then False, now True" in other.stderr
    assert "without --resume" in other.stderr
    exported(site, to, "outcomes")
    assert len(to.read_text().splitlines()) == N_VISITORS + 1


@ON_REDIS
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("outcomes", "--to", "o.xlsx"), "does not end in .csv, .jsonl, .parquet"),
        (("scores", "--to", "s.csv", "--since", "7d"), "--since, --until and --all are of the log"),
        (("outcomes", "--to", "o.csv", "--since", "last week"), "--since: 'last week' is no moment"),
        (("outcomes", "--to", "o.csv", "--since", "2d", "--until", "3d"), "'3d' is not after --since '2d'"),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_nothing_behind(
    site: Site, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    what, option, name, *more = arguments
    done = site.ran("export", what, option, str(tmp_path / name), *more)
    assert done.returncode == 1
    assert said in done.stderr
    assert os.listdir(tmp_path) == []


@ON_REDIS
def test_a_placement_that_the_catalog_does_not_have_is_told(site: Site, tmp_path: Path) -> None:
    """It may be of an earlier version, or mistyped."""
    said = exported(site, tmp_path / "o.csv", "outcomes", "--placement", "home.hreo")
    assert "; home.hreo: no such placement now; the catalog in force has home.hero, side.bar" in said


@ON_REDIS
def test_that_somebody_exported_is_in_the_audit(site: Site, tmp_path: Path) -> None:
    exported(site, tmp_path / "s.csv", "segments", "--with-ids")
    records = [json.loads(line) for line in site.command("audit", "show", "--json").splitlines()]
    assert [(each["act"], each["objects"]) for each in records][-1] == ("export", ["segments", "with ids"])


def test_who_was_erased_or_has_refused_since_is_left_out(
    site: Site, decided: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """The last of the module: it takes two visitors away."""
    to = tmp_path / "d.jsonl"
    refusal = {"type": "track", "event": "Consent Updated", "properties": {"personalization": False}}
    site.collect({**refusal, "anonymousId": "v1"})
    until(lambda: site.granted("a:v1") == {"personalization": False}, "the refusal is folded")
    _, asked = site.request("DELETE", "/v1/visitors/v2?kind=anonymous", Prefer="respond-async")
    path = f"/v1/erasures/{asked['erasureId']}"
    until(lambda: site.request("GET", path)[1]["status"] == "done", "v2 is erased")
    for what in ("decisions", "outcomes"):
        said = exported(site, to, what, "--with-ids")
        gone = {f"a:v{n}" for n in range(N_VISITORS)} - {row["visitor_id"] for row in lines(to)}
        assert gone == {"a:v1", "a:v2"}
        assert "1 refused since" in said
