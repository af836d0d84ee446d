"""``nextbest retrain``: ask for a challenger, and print how well it would have predicted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import orjson

from cli.reading_options import reading_of, reading_options, say
from config.settings import Settings
from operations.retraining import retrain as _retrain


@click.command(short_help="Learn a conversion anew from history, and enter it as a challenger.")
@click.argument("conversion")
@click.option("--model", default=None, metavar="NAME", help="Another model than the catalog names.")
@click.option(
    "--history",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    metavar="FILE.csv[.gz]",
    help="Learn from this file first, in time order, features named as in the catalog; then from the log.",
)
@click.option("--label", default=None, metavar="COLUMN", help="Column of the file that says who converted: 1 or 0.")
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def retrain(
    conversion: str, model: str | None, history: Path | None, label: str | None, as_json: bool, **reading: Any
) -> None:
    """Learn CONVERSION anew from the examples the log retains, and let it compete with the model in force.

    It serves once it has won on what comes after, and is retired if it has not within 50,000 examples; the
    learner's /metrics tell (nextbest_conversion_challengers), and its log.
    """
    if (history is None) != (label is None):
        raise click.UsageError("--history and --label go together")
    said = reading_of(reading)
    settings = Settings.from_environment()
    challenger_id, retrained = asyncio.run(_retrain(settings, conversion, model, history, label, said))
    say(retrained.notes)
    card = retrained.scorecard()
    if as_json:
        told = {
            "challenger": challenger_id,
            "model": retrained.contender.spec.name,
            "examples": card.rows,
            "auc": card.auc.value,
            "log_loss": card.log_loss,
            "calibration_error": card.calibration.error,
        }
        click.echo(orjson.dumps(told).decode())  # what is not a number is null
        return
    click.echo(
        f"Learned {card.rows:,} examples, each predicted before: AUC {card.auc.value:.3f}, log loss "
        f"{card.log_loss:.4f}, calibration error {card.calibration.error:.4f}."
    )
    click.echo(f"Entered as challenger {challenger_id}: it serves once it has won on what comes after.")
