"""How what all processes stand on is: Redis, the log, disks, the processes themselves."""

from __future__ import annotations

from dashboards.board import WINDOW, Board, Panel, Query, per_second, quantiles

BOARD = Board(
    "nextbest-redis-and-kafka",
    "nextbest: Redis and Kafka",
    {
        "Redis": (
            Panel(
                "Memory",
                "Nothing is evicted: at its bound nothing is written any more.",
                "bytes",
                (
                    Query("max(nextbest_redis_memory_used_bytes)", "used"),
                    Query("max(nextbest_redis_memory_limit_bytes)", "may"),
                ),
            ),
            Panel(
                "Full in",
                "If it grows as in the last hour; 30 days stand for longer, and for never.",
                "s",
                (
                    Query(
                        "clamp_max(nextbest:redis_memory_full:seconds, 2592000) or on() vector(2592000)", "full in"
                    ),
                ),
            ),
            Panel(
                "Reads of visitors",
                "One read serves the decisions that wait at the same time.",
                "s",
                (Query(quantiles("nextbest_redis_read_seconds", by="outcome"), "{{outcome}} {{q}}"),),
            ),
            Panel(
                "What is not well",
                "1 while /readyz of an API names the part.",
                "short",
                (Query("max by (part) (nextbest_not_well) or on() vector(0)", "{{part}}"),),
            ),
            Panel(
                "By how much clocks are ahead",
                "Of Redis's.",
                "s",
                (Query("max by (instance) (nextbest_clock_ahead_seconds)", "{{instance}}"),),
            ),
            Panel(
                "Attempts that failed",
                "And were made again, by part.",
                "reqps",
                (Query(per_second("nextbest_retries_total", "job, part", rare=True), "{{job}} {{part}}"),),
            ),
        ),
        "The log: Kafka or Redis Streams": (
            Panel(
                "Entries not read yet",
                "The most of one partition, by who is to read it.",
                "short",
                (Query("max by (job) (nextbest_log_lag_entries)", "{{job}}"),),
            ),
            Panel(
                "Entries gone before they were read",
                "Lost for who was to read them.",
                "reqps",
                (Query(per_second("nextbest_log_skipped_entries_total", "job", rare=True), "{{job}}"),),
            ),
            Panel(
                "Records that wait for the log",
                "In the spool; those that are dropped are lost.",
                "short",
                (
                    Query("sum(nextbest_spool_records)", "waiting"),
                    Query(per_second("nextbest_spool_dropped_records_total"), "dropped a second"),
                ),
            ),
        ),
        "Processes and disks": (
            Panel(
                "Who answers",
                "1 for a process that Prometheus reaches.",
                "short",
                (Query('min by (job) (up{job=~"api|folder|learner|projector"})', "{{job}}"),),
            ),
            Panel(
                "Memory of the processes",
                "Resident.",
                "bytes",
                (Query("max by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}"),),
            ),
            Panel(
                "CPU of the processes",
                "Seconds a second; 1 is a core.",
                "short",
                (Query(f"sum by (job) (rate(process_cpu_seconds_total[{WINDOW}]))", "{{job}}"),),
            ),
            Panel(
                "Room on the disk",
                "Of the data folder.",
                "percentunit",
                (Query("min by (instance) (nextbest_disk_free_bytes / nextbest_disk_size_bytes)", "{{instance}}"),),
            ),
            Panel(
                "Tasks started again",
                "After an error that nobody expected.",
                "reqps",
                (Query(per_second("nextbest_task_restarts_total", "job, task", rare=True), "{{job}} {{task}}"),),
            ),
            Panel(
                "Spans of traces",
                "dropped, failed: a collector that is slow, or away; nothing waits for it. Without traces none.",
                "reqps",
                (Query(per_second("nextbest_spans_total", "job, outcome", rare=True), "{{job}} {{outcome}}"),),
            ),
            Panel(
                "Which nextbest",
                "Processes by release and Python.",
                "short",
                (
                    Query(
                        "count by (version, python, role) (nextbest_build_info)", "{{role}} {{version}} {{python}}"
                    ),
                ),
            ),
        ),
    },
)
