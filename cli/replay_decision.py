"""``nextbest replay-decision``: make one decision again, and see that it comes out as it was recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from cli.replay_target import target
from cli.terminal import json_line
from config.settings import Settings
from installation.audit import recorded
from installation.opened import open_installation
from installation.secrets_of import installed_secrets
from operations.redeciding.decision import Redecided, redecide
from operations.redeciding.record import find_record
from operations.replay.base import read_base
from personalization.audit.record import VISITOR_PURPOSE, visitor_mark
from personalization.errors import Refused
from personalization.visitor.visitor_key import raw_id


@click.command("replay-decision", short_help="Make one decision again, bit for bit, from its record and the log.")
@click.argument("decision_id", metavar="ID")
@click.option(
    "--base",
    "base_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FILE",
    help="Begin from a base that `nextbest replay --save-base` saved before the decision.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of a `nextbest up`, running or stopped: its Redis is started meanwhile.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def replay_decision(decision_id: str, base_file: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Make the decision ID again: its choice from the record, its scores by the model as it was then.

    The model is learned again from an earlier copy of it and the outcomes after that, in their order. Exit code 1
    where what comes out is not what was recorded; what cannot be made again is said, and is no failure.
    That you looked is recorded in the audit.
    """
    with target(Settings.from_environment(), data_dir) as settings:
        redecided = asyncio.run(_redecided(settings, decision_id, base_file))
    if as_json:
        click.echo(json_line(redecided))
    else:
        for line in _lines(redecided):
            click.echo(line)
    if not redecided.holds:
        raise SystemExit(1)


async def _redecided(settings: Settings, decision_id: str, base_file: Path | None) -> Redecided:
    async with open_installation(settings) as opened:
        record = await find_record(opened, decision_id)
        if record is None:
            raise Refused(
                f"the log has no record of decision {decision_id}: it was made without consent, or the log has let "
                "it go"
            )
        base = None
        if base_file is not None:
            base = read_base(base_file, await opened.log.identity(), opened.cipher)
        mark = visitor_mark(installed_secrets(settings).key(VISITOR_PURPOSE), raw_id(record.key))
        async with recorded(settings, opened.redis, "replay_decision", mark, trail="reads"):
            return await redecide(opened, record, base)


def _lines(told: Redecided) -> list[str]:
    version = f"generation {told.model_generation}, {told.learned:,} learned" if told.model_version else "the prior"
    lines = [
        f"{told.arm} in {told.placement}, by catalog {told.catalog_version} and model {version}.",
        told.choice_words,
        told.scores_words,
    ]
    if told.n_relearned is not None and told.model_version:
        begun = f"a copy with {told.begun_at:,} learned" if told.begun_at else "nothing"
        lines.append(f"The model was begun from {begun}, and learned {told.n_relearned:,} records after that.")
    return lines
