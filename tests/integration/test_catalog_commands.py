"""The catalog from the command line, on a real Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.catalog_commands import check, history, publish, rollback, schema
from config.schema import catalog_schema
from personalization.errors import InvalidInput, Unavailable


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    for name in ("NEXTBEST_CATALOG", "NEXTBEST_REDIS", "NEXTBEST_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


def good(folder: Path, body: str = "hello") -> Path:
    (folder / "shop.yaml").write_text(
        f"placements:\n  hero: {{content: [a], default: a}}\ncontent:\n  a: {{body: {body}}}\n"
        "sources:\n  shop: {write_keys: [pk], consent_default: denied}\n"
    )
    return folder


def doubtful(folder: Path) -> Path:
    (good(folder) / "more.yaml").write_text("content:\n  unused: {}\n")
    return folder


WARNING = "content.unused: no placement shows it; list it under a placement's content, or delete it"


def test_check_shows_the_example_shop(runner: CliRunner) -> None:
    result = runner.invoke(check, [])
    assert result.exit_code == 0, result.output
    for word in ("home.recommendations", "Order Completed", "hero-sale", "cart_abandoner", '"loyal" in segments'):
        assert word in result.output


def test_check_prints_every_mistake_and_exits_1(runner: CliRunner, tmp_path: Path) -> None:
    (good(tmp_path) / "more.yaml").write_text(
        "content:\n  b: {cap: often}\nsegments: {x: 'y >'}\nplacements: {two: {content: b, default: b}}\n"
    )
    result = runner.invoke(check, [str(tmp_path)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "more.yaml:2: content.b.cap: must be such as '3 per day', '2 per 7d', '1 per visitor' or '10 per 30d per "
        "group', not 'often'",
        "more.yaml:3: segments.x: not a CEL expression: something is missing at the end",
    ]
    assert result.stderr == "2 mistakes; nothing is published.\n"
    found = json.loads(runner.invoke(check, [str(tmp_path), "--json"]).stdout)
    assert found["ok"] is False
    assert [(error["file"], error["line"], error["path"]) for error in found["errors"]] == [
        ("more.yaml", 2, "content.b.cap"),
        ("more.yaml", 3, "segments.x"),
    ]


def test_a_warning_is_shown_and_fails_only_a_strict_check(runner: CliRunner, tmp_path: Path) -> None:
    result = runner.invoke(check, [str(doubtful(tmp_path))])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        f"more.yaml:2: warning: {WARNING}",
        "",
        f"The catalog in {tmp_path} works, with 1 warning.",
    ]
    assert "hero" in result.stdout
    assert runner.invoke(check, [str(tmp_path), "--strict"]).exit_code == 1
    for strict, code in (((), 0), (("--strict",), 1)):
        result = runner.invoke(check, [str(tmp_path), "--json", *strict])
        assert result.exit_code == code
        found = json.loads(result.stdout)
        assert found["ok"] is (code == 0)
        assert (found["placements"], found["errors"]) == (1, [])
        path, message = WARNING.split(": ", 1)
        place = {"file": "more.yaml", "line": 2}
        assert found["warnings"] == [{**place, "path": path, "code": "unused_content", "message": message}]


def test_warnings_are_shown_beside_mistakes(runner: CliRunner, tmp_path: Path) -> None:
    (doubtful(tmp_path) / "wrong.yaml").write_text("segments: {x: 'y >'}\n")
    result = runner.invoke(check, [str(tmp_path)])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "wrong.yaml:1: segments.x: not a CEL expression: something is missing at the end",
        f"more.yaml:2: warning: {WARNING}",
    ]
    assert result.stderr == "1 mistake, 1 warning; nothing is published.\n"
    found = json.loads(runner.invoke(check, [str(tmp_path), "--json"]).stdout)
    assert [len(found[kind]) for kind in ("errors", "warnings")] == [1, 1]


def test_the_example_shop_passes_a_strict_check(runner: CliRunner) -> None:
    assert runner.invoke(check, ["--strict"]).exit_code == 0


def test_check_reads_the_folder_of_the_settings(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_CATALOG", str(good(tmp_path)))
    assert json.loads(runner.invoke(check, ["--json"]).stdout) == {
        "ok": True,
        "folder": str(tmp_path),
        "placements": 1,
        "content": 1,
        "segments": 0,
        "affinities": 0,
        "conversions": 0,
        "metrics": 0,
        "scores": 0,
        "sources": 1,
        "errors": [],
        "warnings": [],
    }


def test_schema_prints_the_schema(runner: CliRunner) -> None:
    assert json.loads(runner.invoke(schema, []).stdout) == catalog_schema()


@pytest.mark.redis
def test_publish_roll_back_and_look_back(
    runner: CliRunner, tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_REDIS", redis_url)
    assert "No catalog is published yet" in runner.invoke(history, []).stdout
    _ok(runner.invoke(publish, [str(good(tmp_path)), "--by", "ada"]), "Version 1 is in force.")
    _ok(runner.invoke(publish, [str(tmp_path)]), "Nothing changed: version 1 is in force.")
    _ok(runner.invoke(publish, [str(good(tmp_path, "new")), "--by", "bob"]), "Version 2 is in force.")
    _ok(runner.invoke(rollback, ["1", "--by", "eve"]), "Version 3 is in force, the same as version 1.")
    lines = runner.invoke(history, []).stdout
    for word in ("ada", "bob", "eve", "content.a: body", "version 1 again"):
        assert word in lines
    versions = json.loads(runner.invoke(history, ["--json"]).stdout)["versions"]
    assert [(entry["version"], entry["who"]) for entry in versions] == [(3, "eve"), (2, "bob"), (1, "ada")]
    assert isinstance(runner.invoke(rollback, ["9"]).exception, InvalidInput)
    result = runner.invoke(publish, [str(doubtful(tmp_path)), "--by", "ada"])
    _ok(result, "Version 4 is in force.")  # a warning stops nothing
    assert result.stderr == f"more.yaml:2: warning: {WARNING}\n"
    published = json.loads(runner.invoke(publish, [str(tmp_path), "--json"]).stdout)
    assert (published["version"], published["changed"], len(published["warnings"])) == (4, False, 1)
    (tmp_path / "shop.yaml").write_text("placements: 3\n")
    assert runner.invoke(publish, [str(tmp_path)]).exit_code == 1
    assert len(json.loads(runner.invoke(history, ["--json"]).stdout)["versions"]) == 4


def test_without_redis_it_says_what_to_do(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTBEST_REDIS", "redis://127.0.0.1:1/0")
    result = runner.invoke(publish, [str(good(tmp_path))])
    assert isinstance(result.exception, Unavailable)
    assert "nextbest up" in str(result.exception)


def _ok(result: Result, said: str) -> None:
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == said


def test_check_shows_what_each_variant_is(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "placements:\n  hero:\n    content: [a, b]\n    default: a\n    variants:\n"
        "      bold: {share: 20%, policy: squarecb, content: [b]}\n      same: {share: 0.5, learn: shared}\n"
        "content: {a: {}, b: {}}\nsources: {web: {write_keys: [pk], consent_default: denied}}\n"
    )
    result = runner.invoke(check, [str(tmp_path)])
    assert result.exit_code == 0, result.stdout
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("hero, ")]
    assert rows == [
        ["hero,", "bold", "0.2", "1", "squarecb", "default", "alone"],
        ["hero,", "same", "0.5", "2", "default", "default", "with", "the", "placement"],
    ]
