"""``nextbest init``: asks what it is not told, writes what works, and replaces nothing."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import cli.init as command
from cli.init import init, write_new
from config.loader import load_catalog
from config.starters.credentials import hashed
from personalization.errors import Refused

GIVEN = (
    *("--kind", "hotel", "--name", "inn", "--origin", "https://inn.example", "--consent", "granted"),
    "--no-users",
)
FILES = {
    *(".env", ".gitignore", "README.md", "audiences.yaml", "catalog.schema.json", "content.yaml"),
    *("placements.yaml", "privacy.yaml", "scores.yaml", "sources.yaml"),
}
KEY = re.compile(r"\b(?:pk|sk)_[\w-]{32}")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody is there to ask."""
    monkeypatch.setattr(command, "at_terminal", lambda: True)


def run(*arguments: str, typed: str = "") -> Result:
    done = CliRunner().invoke(init, arguments, input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


@pytest.mark.usefixtures("terminal")
def test_it_asks_five_questions_and_enter_answers_each(tmp_path: Path) -> None:
    site = tmp_path / "my shop"
    done = run(str(site), typed="\n" * 5)
    assert done.exit_code == 0, done.output
    assert re.findall(r"^(\d/\d)  ", done.output, re.M) == ["1/5", "2/5", "3/5", "4/5", "5/5"]
    catalog = load_catalog(site)
    assert "home.hero" in catalog.placements
    assert catalog.sources["my-shop"].consent_default == "denied"
    assert catalog.sources["my-shop"].verify_users is False
    assert held(site).keys() == FILES


@pytest.mark.usefixtures("terminal")
def test_what_is_given_is_not_asked(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = run(str(site), "--kind", "saas", "--consent", "granted", typed="acme\n\n\n")
    assert done.exit_code == 0, done.output
    assert re.findall(r"^(\d/\d)  ", done.output, re.M) == ["1/3", "2/3", "3/3"]
    catalog = load_catalog(site)
    assert "app.tip" in catalog.placements
    assert catalog.sources["acme"].consent_default == "granted"
    assert catalog.sources["acme"].verify_users is True


@pytest.mark.usefixtures("terminal")
def test_an_answer_that_makes_no_sense_is_asked_again_with_the_reason(tmp_path: Path) -> None:
    site = tmp_path / "site"
    typed = ("cinema", "newspaper", "my paper", "paper", "paper.example", "https://paper.example", "maybe")
    done = run(str(site), typed="\n".join((*typed, "denied", "perhaps", "y")) + "\n")
    assert done.exit_code == 0, done.output
    assert "Error: 'cinema' is not one of 'shop', 'newspaper', 'hotel', 'saas'." in done.output
    assert "Error: 'my paper' is no name: use 1 to 64 letters, digits and -" in done.output
    assert "Error: 'paper.example' is no origin: write http:// or https://" in done.output
    assert "Error: 'maybe' is not one of 'denied', 'granted'." in done.output
    assert "Error: 'perhaps' is neither yes nor no" in done.output
    catalog = load_catalog(site)
    assert "article.more" in catalog.placements
    assert catalog.sources["paper"].verify_users is True
    assert "https://paper.example" in (site / "sources.yaml").read_text()


@pytest.mark.usefixtures("terminal")
def test_who_leaves_before_the_last_question_leaves_nothing_behind(tmp_path: Path) -> None:
    done = CliRunner().invoke(init, [str(tmp_path / "site")], input="\n" * 4)
    assert done.exit_code == 1
    assert "Aborted" in done.output
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_it_says_what_is_missing_and_writes_nothing(tmp_path: Path) -> None:
    done = run(str(tmp_path / "site"), "--kind", "shop", "--origin", "https://shop.example")
    assert done.exit_code == 2
    assert "there is no terminal to ask at: give --name, --consent, --users or --no-users" in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--name", "my shop", "'my shop' is no name"),
        ("--origin", "shop.example", "'shop.example' is no origin"),
        ("--kind", "cinema", "is not one of"),
        ("--consent", "maybe", "is not one of"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_mistake(
    option: str, value: str, reason: str, tmp_path: Path
) -> None:
    done = run(str(tmp_path / "site"), *GIVEN, option, value)
    assert done.exit_code == 2
    assert option in done.output
    assert reason in done.output
    assert list(tmp_path.iterdir()) == []


def test_keys_are_shown_once_and_the_folder_has_their_hashes_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = run(str(site), *GIVEN)
    assert done.exit_code == 0, done.output
    shown = KEY.findall(done.output)
    assert [key[:3] for key in shown] == ["pk_", "sk_"]
    source = load_catalog(site).sources["inn"]
    assert source.write_keys == (hashed(shown[0]),)
    assert source.server_keys == (hashed(shown[1]),)
    for name, content in held(site).items():
        assert not [key for key in shown if key[3:].encode() in content], name


def test_the_secret_stands_in_a_file_of_its_owner_that_git_ignores(tmp_path: Path) -> None:
    site = tmp_path / "site"
    before = os.umask(0)
    try:
        done = run(str(site), *GIVEN)
    finally:
        os.umask(before)
    name, _, secret = (site / ".env").read_text().strip().partition("=")
    assert name == "NEXTBEST_SECRET"
    assert len(base64.urlsafe_b64decode(secret)) == 48
    assert (site / ".env").stat().st_mode & 0o777 == 0o600
    assert ".env" in (site / ".gitignore").read_text().splitlines()
    assert secret not in done.output
    assert [name for name, content in held(site).items() if secret.encode() in content] == [".env"]


def test_no_two_installations_share_anything(tmp_path: Path) -> None:
    one, other = (run(str(tmp_path / name), *GIVEN).output for name in ("one", "other"))
    assert not set(KEY.findall(one)) & set(KEY.findall(other))
    assert (tmp_path / "one" / ".env").read_text() != (tmp_path / "other" / ".env").read_text()


@pytest.mark.parametrize("more", [(), ("--force",)])
def test_a_second_run_is_refused_and_changes_nothing(more: tuple[str, ...], tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(str(site), *GIVEN)
    before = held(site)
    with pytest.raises(Refused, match="name a new folder"):
        run(str(site), *GIVEN, *more)
    assert held(site) == before


@pytest.mark.usefixtures("terminal")
def test_a_folder_that_is_not_empty_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match=r"is not empty \(it holds notes.txt\): .* or give --force"):
        CliRunner().invoke(init, [str(tmp_path)], catch_exceptions=False)
    assert held(tmp_path) == {"notes.txt": b"mine"}


def test_by_force_it_writes_beside_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".ci.yaml").write_text("jobs: {}")  # what is hidden is no catalog
    done = run(str(tmp_path), *GIVEN, "--force")
    assert done.exit_code == 0, done.output
    assert held(tmp_path).keys() == FILES | {"notes.txt", ".ci.yaml"}
    assert (tmp_path / "notes.txt").read_text() == "mine"
    load_catalog(tmp_path)


def test_force_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".env").symlink_to("elsewhere")
    with pytest.raises(Refused, match=r"\.env, README\.md would be replaced .* move away"):
        run(str(tmp_path), *GIVEN, "--force")
    assert sorted(os.listdir(tmp_path)) == [".env", "README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_yaml_that_is_there_would_be_read_as_catalog_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "compose.yml").write_text("services: {}")
    with pytest.raises(Refused, match=r"compose\.yml is there already, and every YAML file"):
        run(str(tmp_path), *GIVEN, "--force")
    assert os.listdir(tmp_path) == ["deploy"]


def test_what_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cannot write to .*; name another folder"):
        write_new(tmp_path / "site", {"first": "1", "no-such-folder/second": "2"})
    assert held(tmp_path / "site") == {}
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"cannot write to .*; name another folder"):
        run(str(tmp_path / "file" / "site"), *GIVEN)


def test_what_to_type_next_fits_where_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = run(str(tmp_path / "my shop"), *GIVEN).output
    assert f"  cd '{tmp_path / 'my shop'}'\n  set -a; . ./.env; set +a\n" in elsewhere
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    here = run(*GIVEN).output
    assert "cd " not in here
    assert "Written to this folder:" in here
    assert held(tmp_path / "here").keys() == FILES


def test_help_names_an_option_for_each_question() -> None:
    options = {name for parameter in init.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {"--kind", "--name", "--origin", "--consent", "--users", "--no-users", "--force"} <= options
    assert isinstance(init, click.Command)
