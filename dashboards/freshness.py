"""How soon what happens counts: event to state, reward to weights, weights to deciders."""

from __future__ import annotations

from dashboards.board import Board, Panel, Query, per_second, quantiles

BOARD = Board(
    "nextbest-freshness",
    "nextbest: Freshness",
    {
        "From what happens to what is known": (
            Panel(
                "Event to state",
                "From the receipt of an event until its visitor's state is written.",
                "s",
                (Query(quantiles("nextbest_event_to_state_seconds"), "{{q}}"),),
            ),
            Panel(
                "Reward to weights",
                "From the closing of a decision until weights that know it are published.",
                "s",
                (Query(quantiles("nextbest_reward_to_weights_seconds"), "{{q}}"),),
            ),
            Panel(
                "Age of the models in use",
                "It grows while nothing is learned.",
                "s",
                (Query("max by (placement) (nextbest_model_age_seconds)", "{{placement}}"),),
            ),
            Panel(
                "Entries not read yet",
                "Of the log, by who is to read them.",
                "short",
                (Query("sum by (job) (nextbest_log_lag_entries)", "{{job}}"),),
            ),
            Panel(
                "Age of what is shown of decisions",
                "How far the projector's sums and rows are behind the log; nothing else waits for it.",
                "s",
                (Query("max(nextbest_projector_behind_seconds)", "behind"),),
            ),
            Panel(
                "Share of the outcomes that is kept",
                "Below 1 the learner, or the log, cannot take all.",
                "percentunit",
                (Query("min(nextbest_outcome_share)", "kept"),),
            ),
            Panel(
                "Age of the last checkpoint",
                "What a crash of the learner would have to learn again.",
                "s",
                (Query("time() - max(nextbest_checkpoint_timestamp_seconds)", "checkpoint"),),
            ),
        ),
        "How the workers do it": (
            Panel(
                "A batch of the folder",
                "Load, fold, emit and save.",
                "s",
                (Query(quantiles("nextbest_fold_batch_seconds"), "{{q}}"),),
            ),
            Panel(
                "Entries a batch",
                "Few while little comes, more when it is behind.",
                "short",
                (Query(quantiles("nextbest_fold_batch_entries"), "{{q}}"),),
            ),
            Panel(
                "A batch of the learner",
                "Learning it, without what follows.",
                "s",
                (Query(quantiles("nextbest_learn_batch_seconds"), "{{q}}"),),
            ),
            Panel(
                "Attempts that failed",
                "And were made again, by part.",
                "reqps",
                (Query(per_second("nextbest_retries_total", "job, part", rare=True), "{{job}} {{part}}"),),
            ),
            Panel(
                "Decisions that wait for the log",
                "In the spool; 0 while the log takes them.",
                "short",
                (Query("sum(nextbest_spool_records)", "waiting"),),
            ),
            Panel(
                "Two writers of one partition",
                "Visitors written by somebody else meanwhile, and folded again.",
                "reqps",
                (Query(per_second("nextbest_fold_lost_races_total"), "races"),),
            ),
        ),
    },
)
