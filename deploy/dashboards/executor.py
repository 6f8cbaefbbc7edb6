"""The executor's dashboard."""

from expressions import quantile, quantiles, rate, recorded, series, total
from grafana import dashboard, lines, row


def executor():
    """Tasks, enrichments and schedules."""
    return dashboard(
        "executor",
        "Executor and tasks",
        "What waits, what runs, how it ends; enrichments; schedules.",
        [
            lines(
                "Tasks that are not at an end",
                [("{{state}}", f"max by (state) ({recorded('namespace_state:postrider_tasks_backlog:max')})")],
                means="Counted in the store; the same from every executor.",
                stacked=True,
            ),
            lines(
                "Tasks ended a second",
                [("{{state}}", rate("postrider_tasks_ended_total", "state"))],
                "ops",
                stacked=True,
            ),
            lines(
                "Tasks failed in 15 minutes, by failure",
                [
                    (
                        "{{failure}}",
                        "sum by (failure) (increase("
                        + series("postrider_tasks_ended_total", 'state="failed"')
                        + "[15m]))",
                    )
                ],
                means="docs/TASKS.md says what each means.",
            ),
            lines(
                "From acceptance to the end",
                quantiles("postrider_tasks_end_seconds", "state"),
                "s",
                "Waits between attempts included.",
            ),
            lines(
                "Attempts a second, by outcome",
                [("{{for}}: {{outcome}}", rate("postrider_tasks_attempts_total", "for, outcome"))],
                "ops",
                "`trap`, `fuel`, `deadline` and `memory` are limits of the sandbox.",
            ),
            lines(
                "Attempts: p99",
                [("{{for}}", quantile(0.99, "postrider_tasks_attempt_seconds", "for"))],
                "s",
                "The wait for a turn included.",
            ),
            lines(
                "Running, and waiting for a turn",
                [
                    ("tasks under way", total("postrider_tasks_running")),
                    ("attempts that wait", total("postrider_sandbox_waiting")),
                ],
                means="executor.tasks.running (24) bounds each executor: there for long, with a backlog, more executors help.",
            ),
            lines(
                "Fuel a second",
                [("{{for}}", rate("postrider_tasks_fuel_total", "for"))],
                means="About one unit an instruction.",
            ),
            lines(
                "Leases",
                [
                    ("lost, in a minute", f"60 * {rate('postrider_tasks_leases_lost_total')}"),
                    ("found, in a minute", f"60 * {rate('postrider_tasks_found_total')}"),
                ],
                means="Lost: another executor took a task over. Found: retries that came due, and what lost executors left.",
            ),
            lines(
                "Notifications appended for tasks, a second",
                [("outputs", rate("postrider_tasks_outputs_total"))],
                "ops",
            ),
            lines(
                "Lag, and what is in flight",
                [
                    (
                        "{{group}}",
                        "max by (group) ("
                        + recorded("namespace_group:postrider_log_lag:max", 'group=~"executor.*"')
                        + ")",
                    ),
                    ("in flight: {{group}}", total("postrider_executor_in_flight_records", "group")),
                ],
            ),
            lines(
                "Modules asked for, and engines that did not answer, a second",
                [
                    ("modules: {{result}}", rate("postrider_executor_module_lookups_total", "result")),
                    ("engine: {{engine}}", rate("postrider_executor_engine_failures_total", "engine")),
                ],
                "ops",
            ),
            row("Enrichment"),
            lines(
                "Enriched a second, by result",
                [("{{result}}", rate("postrider_enrichment_ended_total", "result"))],
                "ops",
            ),
            lines(
                "From acceptance to what is delivered: p99",
                [("{{result}}", quantile(0.99, "postrider_enrichment_seconds", "result"))],
                "s",
            ),
            row("Schedules"),
            lines(
                "Fired, in a minute",
                [("{{result}}", f"60 * {rate('postrider_schedules_fired_total', 'result')}")],
                width=8,
            ),
            lines("Late by", quantiles("postrider_schedules_lag_seconds"), "s", width=8),
            lines(
                "Executors that fire",
                [("leaders", total("postrider_schedules_leads"))],
                means="One at a time. None for two minutes: PostriderNoScheduleLeader.",
                width=8,
            ),
        ],
    )
