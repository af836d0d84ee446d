"""The ``nextbest`` command."""

from __future__ import annotations

import os
import sys

import click

from cli.beside import beside_up
from cli.lazy import LazyGroup
from cli.light_imports import leave_out
from config.settings import Settings, unknown_settings
from personalization.errors import NextbestError

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

COMMANDS = {
    "init": ("cli.init:init", "Five questions, and a catalog of your own to start with."),
    "up": ("cli.up:up", "Start everything on this machine: Redis, workers, API."),
    "demo": ("cli.demo.command:demo", "Replay real people's film ratings through the API and watch it learn."),
    "folder": ("cli.roles:folder", "Run one folder: the visitor log into visitor states."),
    "learner": ("cli.roles:learner", "Run one learner: outcomes into models."),
    "projector": ("cli.roles:projector", "Run one projector: what happened, added up and found again."),
    "api": ("cli.roles:api", "Run the HTTP API: collect events, decide."),
    "check": ("cli.catalog_commands:check", "Check a catalog; say what is in it or everything that is wrong."),
    "publish": ("cli.catalog_commands:publish", "Check a catalog and put it in force."),
    "rollback": ("cli.catalog_commands:rollback", "Put an earlier version of the catalog in force again."),
    "history": ("cli.catalog_commands:history", "List published versions of the catalog: who, when, what."),
    "schema": ("cli.catalog_commands:schema", "Print the JSON Schema of a catalog file, for editors."),
    "preview": ("cli.preview:preview", "What a visitor would see, and why, by the catalog in force or a draft."),
    "segments": ("cli.segments:segments", "How many visitors are in each segment."),
    "report": ("cli.report:report", "What experiments brought: treated against held out, variant against variant."),
    "export": ("cli.export:export", "Write decisions, outcomes, scores or segments to a file."),
    "simulate": ("cli.simulate:simulate", "Play policies over the rows of a CSV file, learning as they go."),
    "replay": ("cli.replay:replay", "Fold the log anew: compare, or write states and models anew."),
    "replay-decision": (
        "cli.replay_decision:replay_decision",
        "Make one decision again, bit for bit, from its record and the log.",
    ),
    "evaluate": (
        "cli.evaluate:evaluate",
        "What another policy would have brought on the decisions that were logged.",
    ),
    "backtest": (
        "cli.backtest:backtest",
        "Predict each row of a history, then learn it: what a conversion model would have been worth live.",
    ),
    "retrain": (
        "cli.retrain:retrain",
        "Learn a conversion anew from history, and enter it as a challenger.",
    ),
    "keys": ("cli.keys_commands:keys", "Make, list, rotate and revoke keys; print what proves users."),
    "audit": ("cli.audit:audit", "Who did what; and see that nobody has changed it."),
    "model": ("cli.model:model", "What a placement's model goes by: weights, what matters, how its arms fare."),
    "challengers": (
        "cli.challengers:challengers",
        "Policies on trial, and what they would have brought.",
    ),
    "promote": ("cli.challengers:promote", "Put a placement's challenger in force."),
    "demote": ("cli.challengers:demote", "Take a placement's challenger back."),
    "log": ("cli.log:log", "What happened to one visitor, in order."),
    "trace": ("cli.trace:trace", "What one request decided, and what became of it."),
    "refused": ("cli.refused:refused", "Events that were refused though their sender was told 200."),
    "why": ("cli.why:why", "Why a visitor was shown what they were shown, or would be now."),
    "preview-link": (
        "cli.preview_link:preview_link",
        "Make a preview link: a page that has it sees why its decisions are made.",
    ),
    "epoch": ("cli.epoch:epoch", "Which log the states belong to; open the next one."),
    "top": ("cli.top.command:top", "Watch an installation live: decisions, latency, freshness, lag, arms."),
    "doctor": ("cli.doctor:doctor", "What is wrong with an installation, and what to do about it."),
    "ready": ("cli.ready:ready", "Exit 0 if the process in this container is ready."),
}

BESIDE_UP = (
    "publish",
    "rollback",
    "history",
    "retrain",
    "epoch",
    "keys",
    "audit",
    "refused",
    "segments",
    "report",
    "export",
    "why",
    "preview-link",
    "model",
    "challengers",
    "promote",
    "demote",
    "log",
    "trace",
    "top",
)
"""These talk to a running installation, which they find by its data folder. ``replay`` also opens a stopped one."""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    dressed=dict.fromkeys(BESIDE_UP, beside_up),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="nextbest")
@click.pass_context
def nextbest(context: click.Context) -> None:
    """Decide, while the page is still loading, which content a visitor should see; learn from what happens next.

    Settings come from the environment (NEXTBEST_…); see docs/settings.md.
    """
    name = context.invoked_subcommand or ""
    begun = COMMANDS.get(name, ("", ""))[0]
    # Roles say it in their own log, the doctor among its findings.
    if unknown_settings(os.environ) and name != "doctor" and not begun.startswith("cli.roles:"):
        Settings.from_environment()  # refused, together with everything else that is wrong


def main() -> None:
    """Run the command; what goes wrong on purpose is one plain sentence and exit code 1, usage mistakes 2."""
    for name in ONE_THREAD:  # before anything imports numpy: threads of BLAS spin 20 times longer than they work
        os.environ.setdefault(name, "1")
    leave_out()
    try:
        nextbest.main(prog_name="nextbest", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except NextbestError as error:
        from cli.terminal import printable  # not before: it brings rich, which no role needs

        for line in str(error).splitlines():
            click.echo(f"nextbest: {printable(line)}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output (`| head`) has had enough; what is still buffered may go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
