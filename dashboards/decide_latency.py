"""How long visitors wait, where the time goes, and whether the objective is kept."""

from __future__ import annotations

from dashboards.board import PLACEMENT, WINDOW, Board, Panel, Query, per_second, quantiles

_COUNT = "nextbest_decision_seconds_count"
_STAGE = "nextbest_decision_stage_seconds"

BOARD = Board(
    "nextbest-decide-latency",
    "nextbest: Decide latency",
    {
        "Decisions": (
            Panel(
                "How long a decision takes",
                "Within the process, from the head of the request. The objective is 50 ms for 99 %.",
                "s",
                (Query(quantiles("nextbest_decision_seconds", PLACEMENT, shares=(0.5, 0.9, 0.99)), "{{q}}"),),
                exemplars=True,
            ),
            Panel(
                "Decisions",
                "By the tier that answered: rules and default know neither visitor nor model.",
                "reqps",
                (Query(per_second(_COUNT, "tier", PLACEMENT), "{{tier}}"),),
            ),
            Panel(
                "What may be bad, and what is",
                "Share of decisions that were slow or without a model, of 5 minutes and of an hour. Above .01 the "
                "month's share is spent too fast.",
                "percentunit",
                (
                    Query("nextbest:decisions_bad:ratio_rate5m", "5 m"),
                    Query("nextbest:decisions_bad:ratio_rate1h", "1 h"),
                    Query("vector(0.01)", "may be"),
                ),
            ),
            Panel(
                "By tier",
                "99 % of the decisions of a tier take no longer.",
                "s",
                (Query(quantiles("nextbest_decision_seconds", PLACEMENT, "tier", (0.99,)), "{{tier}}"),),
            ),
            Panel(
                "By placement",
                "The ten slowest: 99 % of their decisions take no longer.",
                "s",
                (
                    Query(
                        f"topk(10, {quantiles('nextbest_decision_seconds', PLACEMENT, 'placement', (0.99,))})",
                        "{{placement}}",
                    ),
                ),
            ),
            Panel(
                "By variant, and who is held out",
                "How many decisions each side of an experiment gets.",
                "reqps",
                (
                    Query(
                        per_second("nextbest_decisions_total", "placement, variant, holdout", PLACEMENT),
                        "{{placement}} {{variant}} held out: {{holdout}}",
                    ),
                ),
            ),
        ),
        "Where the time goes": (
            Panel(
                "By stage",
                "read: the request and the visitor; score: eligibility, models, draws; answer: what is logged.",
                "s",
                (Query(quantiles(_STAGE, by="stage"), "{{stage}} {{q}}"),),
            ),
            Panel(
                "Mean by stage",
                "Their sum is the mean of a decision.",
                "s",
                (
                    Query(
                        f"{per_second(_STAGE + '_sum', 'stage')} / {per_second(_STAGE + '_count', 'stage')}",
                        "{{stage}}",
                    ),
                ),
            ),
            Panel(
                "Reads of visitors from Redis",
                "Several decisions share one read.",
                "s",
                (Query(quantiles("nextbest_redis_read_seconds"), "{{q}}"),),
            ),
            Panel(
                "How late the event loop is",
                "While something runs so long, no request is begun.",
                "s",
                (Query(quantiles("nextbest_event_loop_delay_seconds"), "{{q}}"),),
            ),
            Panel(
                "CPU",
                "Of the API's processes: seconds a second; 1 is a core.",
                "short",
                (
                    Query(
                        f'sum by (instance) (rate(process_cpu_seconds_total{{job="api"}}[{WINDOW}]))',
                        "{{instance}}",
                    ),
                ),
            ),
            Panel("Open requests", "Not answered yet.", "short", (Query("sum(nextbest_requests_open)", "open"),)),
        ),
        "What goes wrong": (
            Panel(
                "Missed deadlines",
                "Share of the decisions that were made after their deadline.",
                "percentunit",
                (
                    Query(
                        f"({per_second('nextbest_deadline_misses_total', labels=PLACEMENT, rare=True)}) "
                        f"/ {per_second('nextbest_decisions_total', labels=PLACEMENT)}",
                        "missed",
                    ),
                ),
            ),
            Panel(
                "Why decisions are below personalised",
                "model, deadline and state are faults; consent, rule and nobody are as the site wants it.",
                "reqps",
                (Query(per_second("nextbest_fallbacks_total", "cause", PLACEMENT, rare=True), "{{cause}}"),),
            ),
            Panel(
                "Requests by status",
                "4xx: what callers send; 429: who asks for too much; 5xx: what is away.",
                "reqps",
                (Query(per_second("nextbest_requests_total", "status"), "{{status}}"),),
            ),
            Panel(
                "Requests by endpoint",
                "99 % of the requests of an endpoint take no longer.",
                "s",
                (Query(quantiles("nextbest_request_seconds", by="endpoint", shares=(0.99,)), "{{endpoint}}"),),
            ),
            Panel(
                "Models and rules that fail",
                "A model's placement is answered by rules; a rule that fails is not fulfilled.",
                "reqps",
                (
                    Query(per_second("nextbest_model_faults_total", "placement", rare=True), "model {{placement}}"),
                    Query(per_second("nextbest_rule_errors_total", "rule", rare=True), "rule {{rule}}"),
                ),
            ),
            Panel(
                "Told to wait",
                "Requests refused with 429, by the limit.",
                "reqps",
                (
                    Query(
                        per_second("nextbest_rate_limited_total", "source, limit", rare=True),
                        "{{source}} {{limit}}",
                    ),
                ),
            ),
        ),
    },
)
