"""What comes in, what becomes of it, and what is refused."""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, per_second, quantiles

BOARD = Board(
    "nextbest-events",
    "nextbest: Events",
    {
        "At the door": (
            Panel(
                "Events",
                "By what became of them at the door.",
                "reqps",
                (Query(per_second("nextbest_events_total", "outcome"), "{{outcome}}"),),
            ),
            Panel(
                "How long collecting takes",
                "Until the log has acknowledged.",
                "s",
                (Query(quantiles("nextbest_request_seconds", 'endpoint=~"collect|segment.*"'), "{{q}}"),),
            ),
            Panel(
                "How long rewarding takes",
                "Until the log has acknowledged.",
                "s",
                (Query(quantiles("nextbest_request_seconds", 'endpoint=~"rewards?|activate|exposures"'), "{{q}}"),),
            ),
        ),
        "In the log": (
            Panel(
                "Entries folded",
                "By what became of them; redelivered and stale_epoch were given a second time.",
                "reqps",
                (Query(per_second("nextbest_entries_total", "outcome"), "{{outcome}}"),),
            ),
            Panel(
                "What happened to decisions",
                "late and orphan: rewards that came after the window, or for none that is known.",
                "reqps",
                (Query(per_second("nextbest_decision_notes_total", "kind"), "{{kind}}"),),
            ),
            Panel(
                "What the fold appended",
                "Outcomes, examples, what is forwarded.",
                "reqps",
                (Query(per_second("nextbest_emitted_total", "kind"), "{{kind}}"),),
            ),
            Panel(
                "Time-outs",
                "Appended by the clock: windows that end.",
                "reqps",
                (Query(per_second("nextbest_timeouts_total"), "time-outs"),),
            ),
            Panel(
                "Dead letters",
                "Entries that can never be folded.",
                "reqps",
                (
                    Query(
                        per_second("nextbest_entries_total", "reason", 'outcome="dead_letter"', rare=True),
                        "{{reason}}",
                    ),
                ),
            ),
            Panel(
                "Not logged",
                "For want of consent, or of room in the spool.",
                "reqps",
                (Query(per_second("nextbest_unlogged_total", "reason", rare=True), "{{reason}}"),),
            ),
        ),
        "What sources send": (
            Panel(
                "Ids of nobody",
                "undefined, null, 0 …",
                "reqps",
                (Query(per_second("nextbest_degenerate_ids_total", "source", rare=True), "{{source}}"),),
            ),
            Panel(
                "Refused, though told 200",
                "Of Segment's wire: `nextbest refused` lists what they looked like.",
                "reqps",
                (
                    Query(
                        per_second("nextbest_refused_events_total", "source, reason", rare=True),
                        "{{source}} {{reason}}",
                    ),
                ),
            ),
            Panel(
                "Users without proof",
                "Their events count for the browser alone.",
                "reqps",
                (Query(per_second("nextbest_unverified_users_total", "source", rare=True), "{{source}}"),),
            ),
            Panel(
                "Connections closed",
                "At a bound of the door.",
                "reqps",
                (Query(per_second("nextbest_connections_closed_total", "reason", rare=True), "{{reason}}"),),
            ),
            Panel(
                "Objects with a field nobody knows",
                "A field that is misspelled is ignored.",
                "reqps",
                (Query(per_second("nextbest_unknown_fields_total"), "objects"),),
            ),
        ),
    },
)
