"""What models learn, what it brings, and whether they are well."""

from __future__ import annotations

from dashboards.board import PLACEMENT, WINDOW, Board, Panel, Query, per_second

_OF = "{{placement}}"

BOARD = Board(
    "nextbest-learning",
    "nextbest: Learning",
    {
        "What comes of decisions": (
            Panel(
                "Mean reward by variant",
                "Of decisions that were shown and whose window ended; control is who is held out.",
                "short",
                (
                    Query(
                        f"{per_second('nextbest_reward_sum', 'placement, variant', PLACEMENT)} "
                        f"/ {per_second('nextbest_reward_count', 'placement, variant', PLACEMENT)}",
                        "{{placement}} {{variant}}",
                    ),
                ),
            ),
            Panel(
                "Outcomes by what became of them",
                "bounded: their visitor or network had taught as much as it may.",
                "reqps",
                (Query(per_second("nextbest_outcomes_total", "result"), "{{result}}"),),
            ),
            Panel(
                "Outcomes in the published model",
                "How much each stands on.",
                "short",
                (Query("max by (placement) (nextbest_model_outcomes_learned)", _OF),),
            ),
        ),
        "What models do": (
            Panel(
                "What models did about themselves",
                "In the last hour: drift let go of, arms forgotten, models rebuilt or rolled back.",
                "short",
                (Query("sum by (kind) (delta(nextbest_model_adaptations[1h])) or on() vector(0)", "{{kind}}"),),
            ),
            Panel(
                "Published",
                "Bytes a second that deciders read.",
                "Bps",
                (Query(per_second("nextbest_model_publish_bytes_sum", "placement"), _OF),),
            ),
            Panel(
                "Checkpoints",
                "fenced: another learner has taken over; refused: a stored copy cannot be used.",
                "reqps",
                (Query(per_second("nextbest_checkpoints_total", "result"), "{{result}}"),),
            ),
            Panel(
                "Size of a checkpoint",
                "Of a placement's model.",
                "bytes",
                (Query("max by (placement) (nextbest_checkpoint_bytes)", _OF),),
            ),
            Panel(
                "Models put aside",
                "They raise; what deciders have of them stays as it was.",
                "short",
                (Query("sum(nextbest_models_set_aside) or on() vector(0)", "aside"),),
            ),
            Panel(
                "Outcomes lost",
                "A model came back later than the log holds what it missed.",
                "reqps",
                (Query(per_second("nextbest_model_outcomes_lost_total", "key", rare=True), "{{key}}"),),
            ),
        ),
        "Who teaches, and scores": (
            Panel(
                "What one visitor in a hundred teaches",
                "Largest share of an arm, of outcomes and of what they brought; page views have up to .15.",
                "percentunit",
                (
                    Query(
                        "max by (placement, of) (nextbest_arm_top_visitors_share) or on() vector(0)",
                        "{{placement}} {{of}}",
                    ),
                ),
            ),
            Panel(
                "Not learned, being too much of one source",
                "Share of a placement's outcomes of today and the day before.",
                "percentunit",
                (Query("max by (placement) (nextbest_outcomes_bounded_share) or on() vector(0)", _OF),),
            ),
            Panel(
                "Calibration of scores",
                "Gap of served and observed rate beyond what sampling alone would show.",
                "percentunit",
                (
                    Query(
                        "clamp_min(nextbest_conversion_calibration_error "
                        "- nextbest_conversion_calibration_floor, 0) or on() vector(0)",
                        "{{conversion}}",
                    ),
                ),
            ),
            Panel(
                "Apprentices",
                "How often the policy would have shown the baseline too.",
                "percentunit",
                (
                    Query(
                        f'sum(rate(nextbest_apprentice_decisions_total{{matched="yes"}}[{WINDOW}])) '
                        f"/ sum(rate(nextbest_apprentice_decisions_total[{WINDOW}])) or on() vector(0)",
                        "agrees",
                    ),
                ),
            ),
        ),
    },
)
