"""What Prometheus is told: it is read, every alert fires and falls silent, and leads to its entry."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Gauge

from background.metrics import exposition
from operations.metrics_page import metric_names, registries
from tests.promql import named
from tests.requirements import require
from tests.servers import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
CONFIGS = sorted(FOLDER.glob("prometheus*.yml"))
CASES = sorted((FOLDER / "tests").glob("*.yml"))
OF_PROMETHEUS = {"up", "process_start_time_seconds"}
"""What a rule may name beside our own metrics: Prometheus's, and what its client shows of a process."""


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts.rules.yml")}
RECORDED = {rule["record"]: rule for rule in rules("recording.rules.yml")}


def promtool(*arguments: str | Path, said: bytes = b"") -> str:
    require("promtool")
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=said, capture_output=True, timeout=120, check=False
    )
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, told
    return told


def entries() -> set[str]:
    """The anchors of the runbook's headings."""
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", RUNBOOK, re.M)}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_prometheus_reads_its_configuration_and_the_rules(config: Path) -> None:
    assert "valid prometheus config" in promtool("check", "config", config)
    assert {job["job_name"] for job in yaml.safe_load(config.read_text())["scrape_configs"]} >= registries().keys()


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_alerts_fire_and_are_silent_where_they_should(cases: Path) -> None:
    promtool("test", "rules", cases)


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent() -> None:
    fires, silent = set(), set()
    for path in CASES:
        for case in yaml.safe_load(path.read_text())["tests"]:
            alert, _, what = case["name"].partition(" ")
            (expected,) = case["promql_expr_test"]
            found = {re.findall(r'"(\w+)"', sample["labels"])[0] for sample in expected["exp_samples"]}
            if what.startswith("fires"):
                assert alert in found, case["name"]
                fires.add(alert)
            else:
                assert alert not in found, case["name"]
                assert case["input_series"], case["name"]
                silent.add(alert)
    assert fires == silent == ALERTS.keys()


@pytest.mark.parametrize("role", registries())
def test_metrics_follow_the_conventions(role: str) -> None:
    text, _ = exposition(registries()[role], "")
    assert promtool("check", "metrics", said=text) == ""


@pytest.mark.parametrize(
    "rule", [*ALERTS.values(), *RECORDED.values()], ids=lambda r: r.get("alert") or r["record"]
)
def test_a_rule_reads_what_some_process_shows(rule: dict[str, Any]) -> None:
    found = named(rule["expr"])
    assert found
    assert found - metric_names() - RECORDED.keys() - OF_PROMETHEUS == set()


def test_what_a_rule_reads_is_found_wherever_it_stands() -> None:
    assert named('(sum by (a) (rate(x{b="c"}[5m])) or vector(0)) / scalar(-y) > (z unless z offset 5m)') == set(
        "xyz"
    )


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_whether_it_wakes_somebody_and_which_entry_says_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/runbook.md"
    assert anchor == re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    assert anchor in entries()


def test_the_runbooks_table_of_alarms_is_that_of_the_rules() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(#([\w-]+)\) \| (page|ticket) \|", RUNBOOK, re.M)
    told = {name: (f"docs/runbook.md#{anchor}", severity) for name, anchor, severity in rows}
    assert told == {
        name: (alert["annotations"]["runbook"], alert["labels"]["severity"]) for name, alert in ALERTS.items()
    }


def test_a_metric_that_breaks_a_convention_is_found() -> None:
    require("promtool")
    registry = CollectorRegistry()
    Gauge("nextbest_age_total", "A gauge that is named as a counter", registry=registry)
    with pytest.raises(AssertionError):
        promtool("check", "metrics", said=exposition(registry, "")[0])


def test_composes_prometheus_reads_our_rules_keeps_exemplars_and_is_open_to_this_machine_alone() -> None:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text())
    watching = found["services"]["prometheus"]
    places = dict(volume.split(":")[:2] for volume in watching["volumes"])
    told = dict(argument.partition("=")[::2] for argument in watching["command"])
    config = Path(told["--config.file"])
    assert places["./deploy/prometheus"] == str(config.parent)
    assert (FOLDER / config.name).exists()
    assert told["--storage.tsdb.path"] == places["prometheus"]
    assert told["--enable-feature"] == "exemplar-storage"
    assert watching["profiles"] == ["watch"], "whoever does not ask for it has none"
    assert all(port.startswith("127.0.0.1:") for port in watching["ports"])
    names = {
        name
        for job in yaml.safe_load((FOLDER / config.name).read_text())["scrape_configs"]
        for name in job["dns_sd_configs"][0]["names"]
    }
    assert names <= found["services"].keys(), "each role is found by the name of its service"


ALERTMANAGER = FOLDER / "alertmanager.yml"


def is_told_of(alert: str, labels: dict[str, str], matchers: list[str]) -> bool:
    """Whether an alert is among those that ``matchers`` name."""
    labels = {"alertname": alert, "severity": ALERTS[alert]["labels"]["severity"], **labels}
    parts = [re.fullmatch(r'(\w+)(=~?)"(.+)"', matcher) for matcher in matchers]
    return all(
        part is not None
        and re.fullmatch(part[3] if part[2] == "=~" else re.escape(part[3]), labels.get(part[1], "")) is not None
        for part in parts
    )


def told(**firing: dict[str, str]) -> set[str]:
    """What somebody is told while these alerts fire, each with its labels beside name and severity."""
    rules = yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]
    kept_back = {
        target
        for rule in rules
        for source in firing
        for target in firing
        if is_told_of(source, firing[source], rule["source_matchers"])
        and is_told_of(target, firing[target], rule["target_matchers"])
        and source != target
    }
    return firing.keys() - kept_back


def test_alertmanager_reads_whom_it_is_to_tell() -> None:
    require("amtool")
    done = subprocess.run(["amtool", "check-config", ALERTMANAGER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_keeps_an_alert_back_is_an_alert_and_as_loud() -> None:
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        named_alerts = [
            {
                name
                for matcher in matchers
                if matcher.startswith("alertname")
                for name in re.split(r"\|", re.sub(r'^alertname=~?"|"$', "", matcher))
            }
            for matchers in (rule["source_matchers"], rule["target_matchers"])
        ]
        for names in named_alerts:
            for name in names:
                assert any(re.fullmatch(name, alert) for alert in ALERTS), name
        sources, targets = ({a for a in ALERTS for n in names if re.fullmatch(n, a)} for names in named_alerts)
        assert not sources & targets, rule
        if any(ALERTS[target]["labels"]["severity"] == "page" for target in targets):
            assert {ALERTS[source]["labels"]["severity"] for source in sources} == {"page"}, rule


@pytest.mark.parametrize(
    ("cause", "firing"),
    [
        (
            {"RedisAway"},
            "RedisAway LogRefuses ServerErrors DecisionsBurnFast FallbacksHigh RedisSlow WorkersRetry StatesStale "
            "NobodyLearns ProjectingBehind",
        ),
        ({"DiskFull"}, "DiskFull DiskFillsUp RedisAway LogRefuses ServerErrors WorkersRetry ProjectingBehind"),
        ({"LogRefuses"}, "LogRefuses ServerErrors SpoolFills WorkersRetry"),
        ({"DecisionsBurnFast"}, "DecisionsBurnFast DecisionsBurnSlow DeadlinesMissed FallbacksHigh RedisSlow"),
        ({"DeadLetters", "ModelAside"}, "DeadLetters ModelAside"),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else "",
)
def test_what_follows_from_a_cause_is_not_told_beside_it(cause: set[str], firing: str) -> None:
    assert told(**{alert: {} for alert in firing.split()}) == cause


def test_who_is_gone_keeps_back_what_it_does_not_do_and_nothing_else() -> None:
    folder = {"job": "folder"}
    assert told(ProcessSilent=folder, NobodyFolds={}, StatesStale={}) == {"ProcessSilent"}
    assert told(ProcessSilent={"job": "projector"}, NobodyFolds={}) == {"ProcessSilent", "NobodyFolds"}


def test_no_command_of_the_runbook_waits_for_what_hangs() -> None:
    lines = [
        line for block in re.findall(r"^```sh\n(.+?)^```$", RUNBOOK, re.M | re.S) for line in block.splitlines()
    ]
    asking = [line for line in lines if re.search(r"\bcurl\b", line)]
    assert len(asking) > 40
    assert [line for line in asking if "curl -s -m 5 " not in line] == []
    (redis,) = re.findall(r'REDIS="([^"]+)"', RUNBOOK)
    assert redis.startswith("timeout 5 redis-cli ")
    assert not [line for line in lines if re.search(r"redis-cli", line) and "export" not in line]
