"""``nextbest init``: five questions, and a folder that ``nextbest up --catalog`` runs at once."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from config.starters.answers import KINDS, Answers, read_name, read_origins, suggested_name
from config.starters.credentials import Credentials
from config.starters.starter import ENV, starter_files
from personalization.errors import InvalidInput, Refused

OWNER_ONLY = 0o600
CATALOG_FILES = (".yaml", ".yml")


def _checked(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """``read``, its refusals as click's own: asked again at a terminal, a usage mistake on the command line."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except InvalidInput as error:
            raise click.BadParameter(error.message) from error

    return checked


def _name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    return None if value is None else str(_checked(read_name)(value))


def _origins(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    return tuple(_checked(read_origins)(",".join(value))) if value else None


@click.command(short_help="Five questions, and a catalog of your own to start with.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="What it is for.")
@click.option("--name", callback=_name, default=None, help="Name of the site: letters, digits, -.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    callback=_origins,
    metavar="URL",
    help="Origin of its pages, such as https://shop.example; may be given several times.",
)
@click.option(
    "--consent",
    type=click.Choice(["denied", "granted"]),
    default=None,
    help="What counts for visitors who were not asked yet: denied keeps nothing of them until they agree, granted "
    "personalises until they refuse.",
)
@click.option("--users/--no-users", default=None, help="Whether visitors log in: then pages prove who they are.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty. Never replaces a file.")
def init(
    folder: Path,
    kind: str | None,
    name: str | None,
    origins: tuple[str, ...] | None,
    consent: str | None,
    users: bool | None,
    force: bool,
) -> None:
    """Write a catalog of your own into FOLDER (else here), with keys of your own: what is not given is asked.

    The keys are shown once; the folder holds their hashes. Its README.md says how to go on.
    """
    refuse_what_is_there(folder, force=force)
    given = {"kind": kind, "name": name, "origin": origins, "consent": consent, "users": users}
    answers = _asked({option: value for option, value in given.items() if value is not None}, folder)
    credentials = Credentials.new()
    files = starter_files(answers, credentials)
    write_new(folder, files)
    click.echo(_written(folder, files, credentials))


def refuse_what_is_there(folder: Path, *, force: bool) -> None:
    """See that the folder can be begun.

    Raises
    ------
    Refused
        Where it holds something and ``force`` is not given; or where it holds YAML, which would be read as catalog.
    """
    try:
        held = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
        if held and not force:
            more = " and more" if len(held) > 3 else ""
            raise Refused(
                f"{_shown(folder)} is not empty (it holds {', '.join(held[:3])}{more}): name a new folder, as in "
                "`nextbest init my-site`; or give --force to write beside what is there"
            )
        found = sorted(_catalog_files(folder)) if held else []
    except OSError as error:
        raise Refused(f"cannot read {_shown(folder)}: {error.strerror}; name another folder") from error
    if found:
        raise Refused(
            f"{found[0]} is there already, and every YAML file in the folder is read as catalog: name a new "
            "folder, as in `nextbest init my-site`"
        )


def _catalog_files(folder: Path) -> Iterator[Path]:
    """What the loader would read: YAML, but nothing hidden."""
    for inside, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (
            Path(inside, name) for name in files if name.endswith(CATALOG_FILES) and not name.startswith(".")
        )


def write_new(folder: Path, files: Mapping[str, str]) -> None:
    """Write files that are not there yet, ``.env`` for its owner alone; all of them, or none.

    Raises
    ------
    Refused
        Where one of them is there, or cannot be written.
    """
    there = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if there:
        raise Refused(f"{', '.join(there)} would be replaced in {_shown(folder)}: move away what is there first")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            mode = OWNER_ONLY if name == ENV else 0o666
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise Refused(f"cannot write to {_shown(folder)}: {error.strerror}; name another folder") from error


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def _asked(given: dict[str, Any], folder: Path) -> Answers:
    """The five answers: those given, the others asked for."""
    questions: dict[str, Callable[[str], Any]] = {
        "kind": _ask_kind,
        "name": lambda number: _ask_name(number, suggested_name(folder.resolve().name, given["kind"])),
        "origin": _ask_origins,
        "consent": _ask_consent,
        "users": lambda number: _ask_users(number, given["kind"]),
    }
    missing = [option for option in questions if option not in given]
    if missing and not at_terminal():
        wanted = ", ".join("--users or --no-users" if option == "users" else f"--{option}" for option in missing)
        raise click.UsageError(f"there is no terminal to ask at: give {wanted}")
    if missing:
        click.echo("Enter takes what stands in brackets. Everything can be changed later, in the files.")
    for number, option in enumerate(missing, 1):
        given[option] = questions[option](f"{number}/{len(missing)}")
    return Answers(given["kind"], given["name"], given["origin"], given["consent"], given["users"])


def _ask_kind(number: str) -> str:
    click.echo(f"\n{number}  What is it for?")
    return str(click.prompt("    ", type=click.Choice(KINDS), default=KINDS[0], prompt_suffix=" "))


def _ask_name(number: str, suggested: str) -> str:
    click.echo(f"\n{number}  What is its name? Letters, digits and -.")
    return str(click.prompt("    ", default=suggested, value_proc=_checked(read_name), prompt_suffix=" "))


def _ask_origins(number: str) -> tuple[str, ...]:
    click.echo(f"\n{number}  Where do its pages live? One origin, or several with commas.")
    found = click.prompt(
        "    ", default="http://localhost:8000", value_proc=_checked(read_origins), prompt_suffix=" "
    )
    return tuple(found)


def _ask_consent(number: str) -> str:
    click.echo(
        f"\n{number}  What counts for visitors who were not asked yet whether they want to be personalised?\n"
        "     denied    nothing is kept of them, and nothing chosen for them, until they agree\n"
        "     granted   they are personalised until they refuse"
    )
    return str(click.prompt("    ", type=click.Choice(["denied", "granted"]), default="denied", prompt_suffix=" "))


def _ask_users(number: str, kind: str) -> bool:
    click.echo(
        f"\n{number}  Do visitors log in? Then pages have to prove whom they speak for, by what your server makes."
    )
    default = "yes" if kind == "saas" else "no"
    return bool(click.prompt("     yes or no", default=default, value_proc=_checked(_yes_or_no), prompt_suffix=" "))


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("yes", "y", "no", "n"):
        raise InvalidInput("users", f"{text!r} is neither yes nor no")
    return word.startswith("y")


def _written(folder: Path, files: Mapping[str, str], credentials: Credentials) -> str:
    """What is said at the end: the files, the keys, and how to go on."""
    elsewhere = folder.resolve() != Path.cwd()
    steps = [
        *([f"cd {shlex.quote(str(folder))}"] if elsewhere else []),
        "set -a; . ./.env; set +a",
        "nextbest up --catalog .",
    ]
    start = "\n".join(f"  {step}" for step in steps)
    return (
        f"\nWritten to {_shown(folder)}: {', '.join(files)}\n\n"
        "Two keys of your own, shown this once; the catalog holds their hashes alone.\n\n"
        f"  {credentials.write_key}   write key: goes into your pages, to send events and ask for decisions\n"
        f"  {credentials.server_key}   server key: reads visitors too; goes into your server's secrets, never into "
        "a page\n\n"
        f"{ENV} holds the secret of the installation: keep it, and keep it to yourself.\n\n"
        f"Start it, and read README.md for what comes next:\n\n{start}"
    )


def _shown(folder: Path) -> str:
    return "this folder" if folder == Path() else str(folder)
