"""``nextbest preview``: what a visitor would see, and why, by the catalog in force or by a draft."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from cli.running_file import read_running
from cli.terminal import GivenId, printable
from config.loader import catalog_files
from config.settings import Settings
from personalization.errors import Refused
from personalization.explaining.number_words import percent
from personalization.explaining.words import MOST_REFUSALS

TIMEOUT_S = 100.0
"""A draft is checked in a few seconds; at worst two others are before it, for half a minute each."""


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy between: it would read the key."""


@click.command("preview", short_help="What a visitor would see, and why, by the catalog in force or a draft.")
@click.argument("folder", required=False, type=_FOLDER)
@click.option(
    "--visitor", "visitor_id", metavar="ID", type=GivenId(), help="Who would; else somebody made up of facts."
)
@click.option(
    "--kind", type=click.Choice(["user", "anonymous"]), default="user", show_default=True, help="Of the id."
)
@click.option(
    "--placement", "placements", multiple=True, metavar="NAME", help="Where; may be given again. Else all."
)
@click.option("--facts", type=_FILE, help="JSON of what is to be so of them, as POST /v1/preview takes it.")
@click.option(
    "--api",
    "address",
    metavar="URL",
    help="Where the API listens; else that of the `nextbest up` on the data folder, or where the settings say.",
)
@click.option("--key-file", type=_FILE, help="Holds a server key.")
@click.option("--key", help="A server key; others on this machine may read it while the command runs.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON instead.")
def preview(
    folder: Path | None,
    visitor_id: str | None,
    kind: str,
    placements: tuple[str, ...],
    facts: Path | None,
    address: str | None,
    key_file: Path | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Say what a visitor would see, and why; nothing of it is kept, counted or shown to anybody.

    FOLDER is a catalog that is not published yet; without, the one in force decides. The API that runs is asked: it
    has the visitor and the models.
    """
    if key_file is not None:
        key = key_file.read_text("utf-8").strip()
    if not key:
        raise click.UsageError("a server key is needed: give --key-file FILE, or --key KEY")
    body: dict[str, Any] = {}
    if visitor_id is not None:
        body["visitor"] = {"userId" if kind == "user" else "anonymousId": visitor_id}
    if placements:
        body["placements"] = list(placements)
    if facts is not None:
        body["facts"] = _facts(facts)
    if folder is not None:
        texts = catalog_files(folder)
        body["catalog"] = {"files": {name: text.decode("utf-8", "replace") for name, text in texts.items()}}
    status, answer = _asked(_address(address), key, body)
    if status != 200:
        for mistake in answer.get("mistakes", []):
            place = f"{mistake['file']}:{mistake['line']}" if mistake["line"] else mistake["file"]
            click.echo(printable(f"{place}: {mistake['path']}: {mistake['message']}"))
        if not answer.get("mistakes"):
            field = f"{answer['field']}: " if answer.get("field") else ""
            click.echo(
                printable(f"nextbest: {field}{answer.get('message', f'the API answers {status}')}"), err=True
            )
        raise SystemExit(1)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for line in lines(answer):
        click.echo(printable(line))


def lines(answer: dict[str, Any]) -> list[str]:
    """The answer in words, a line each."""
    told = []
    for placement in answer["placements"]:
        told.append(placement["placement"])
        for slot in placement["slots"]:
            why = slot["explanation"]
            told.append(f"  slot {slot['slot']}: {slot['contentId']} ({percent(slot['probability'])})")
            told += [
                f"    or {arm['arm']} ({percent(arm['probability'])})"
                for arm in sorted(why["arms"], key=lambda arm: -(arm["probability"] or 0.0))
                if arm["arm"] != slot["contentId"] and arm["probability"]
            ]
            told.append(f"    {why['words']}")
            if why["placementRule"] is None:
                told += [f"    not {each['arm']}: {each['words']}" for each in why["refused"][MOST_REFUSALS:]]
        if not placement["slots"]:
            told.append("  nothing is left: what it could show stands in a placement before it")
    return told


def _facts(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise Refused(f"{file} is no JSON: {error}") from error


def _address(given: str | None) -> str:
    """Where the API is: as given, else that of what runs on the data folder, else where the settings say."""
    if given is not None:
        return given.rstrip("/")
    settings = Settings.from_environment()
    running = read_running(Path(settings.data_dir))
    if running is not None:
        return running.api
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return f"http://{host}:{settings.port}"


def _asked(address: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/v1/preview",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "X-API-Key": key},
        method="POST",
    )
    if request.type not in ("http", "https"):
        raise Refused(f"{address} is no address of an API: write one as in http://127.0.0.1:8700")
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        try:
            return refused.code, json.load(refused)
        except ValueError:
            return refused.code, {}
    except (OSError, ValueError) as error:
        raise Refused(f"no API answers at {address} ({error}): start one, or name another by --api") from error
