"""Dashboards of the pipeline as a whole: the first look, and the engines behind it."""

from expressions import most, quantile, quantiles, rate, recorded, series, total
from grafana import dashboard, lines, number, row, table

# What clients refuse is counted by distributors, and, as it comes live, by directors too.
UNFIT = series("postrider_director_dead_lettered_total", 'reason!~"refused|undecodable"')
FIRING = series("ALERTS", 'alertname=~"Postrider.*",alertstate="firing"', of='namespace=~"$namespace"')
UP = series("up", 'job=~"postrider.*"')
ACKNOWLEDGED = recorded("namespace_end:postrider_records_ended:rate5m", 'end="acknowledged"')


def overview():
    """The first look."""
    return dashboard(
        "overview",
        "Overview",
        "Does everything that is accepted arrive, how fast, and what is in the way.",
        [
            number(
                "Unaccounted",
                f"sum({recorded('namespace:postrider_unaccounted:sum')})",
                means="Committed, and without an end on the log. Anything but 0 is a loss to look into.",
                red=1,
            ),
            number(
                "Accepted a second",
                f"sum({recorded('namespace:postrider_accepted:rate5m')})",
                means="Durable on the log and answered so: notifications, without tasks. Mean of five minutes.",
            ),
            number(
                "Acknowledged a second",
                f"sum({ACKNOWLEDGED})",
                means="By clients that were connected. What was stored is acknowledged to the store and not counted here.",
            ),
            number(
                "To acknowledgement, p99",
                f"max({recorded('namespace:postrider_delivery_seconds:p99_5m')})",
                "s",
                "From acceptance, of recipients who were connected. PostriderDeliveryLatency fires above 10 s.",
                amber=2.5,
                red=10,
            ),
            number(
                "Lag, the worst group",
                f"max({recorded('namespace_group:postrider_log_lag:max')})",
                means="Records on the log that a group has not committed.",
                amber=1000,
                red=10000,
            ),
            number(
                "Alerts firing", f"count({FIRING}) or vector(0)", means="The table below names them.", amber=1, red=3
            ),
            lines(
                "Accepted, and how it ended",
                [
                    ("accepted", f"sum({recorded('namespace:postrider_accepted:rate5m')})"),
                    ("{{end}}", f"sum by (end) ({recorded('namespace_end:postrider_records_ended:rate5m')})"),
                ],
                "ops",
                "What is accepted is acknowledged by a client, parked (stored for one who is away), expired, dead-lettered or "
                "handed over to the executor.",
            ),
            lines(
                "Acceptance to acknowledgement",
                [
                    ("p50", f"max({recorded('namespace:postrider_delivery_seconds:p50_5m')})"),
                    ("p99", f"max({recorded('namespace:postrider_delivery_seconds:p99_5m')})"),
                    ("append to the log, p99", f"max({recorded('namespace:postrider_append_seconds:p99_5m')})"),
                ],
                "s",
                "From the moment the receiver accepted until the client said it has it.",
            ),
            lines(
                "Lag by group",
                [("{{group}}", f"max by (group) ({recorded('namespace_group:postrider_log_lag:max')})")],
                means="Records on the log and not committed. director: everybody waits. archiver: who comes back waits. "
                "executor: tasks and enrichments wait.",
            ),
            lines(
                "Connections",
                [("{{transport}}", f"sum by (transport) ({recorded('namespace_transport:postrider_sessions:sum')})")],
                means="Open sessions, by transport.",
                stacked=True,
            ),
            lines(
                "Unaccounted, and how far the reconciler is behind",
                [
                    ("unaccounted", f"sum({recorded('namespace:postrider_unaccounted:sum')})"),
                    ("behind, seconds", most("postrider_reconciler_behind_seconds")),
                ],
                means="While it is behind, unaccounted says nothing about what was committed since.",
            ),
            lines(
                "Dead letters in 15 minutes",
                [
                    ("{{reason}}", f"sum by (reason) (increase({UNFIT}[15m]))"),
                    (
                        "{{reason}}",
                        f"sum by (reason) (increase({series('postrider_refusals_dead_lettered_total')}[15m]))",
                    ),
                ],
                means="By reason: docs/DEAD-LETTERS.md says what to do about each.",
            ),
            lines(
                "Producers are answered",
                [("{{status}}", rate("postrider_receiver_requests_total", "status"))],
                "reqps",
                "5xx means not accepted, or not known; the producer sends it again.",
                stacked=True,
            ),
            lines(
                "Engines that do not answer",
                [("{{engine}}", f"sum by (engine) ({recorded('namespace_engine:postrider_engine_failures:rate5m')})")],
                "ops",
                "Failed calls a second. Log: nothing is accepted. Registry: everything is parked. Store: who comes back waits.",
            ),
            lines(
                "Processes that answer",
                [("{{job}}", f"count by (job) ({UP} == 1)")],
                means="By scrape job.",
            ),
            table(
                "Alerts firing",
                FIRING,
                {
                    "alertname": "Alert",
                    "severity": "Severity",
                    "namespace": "Namespace",
                    "group": "Group",
                    "engine": "Engine",
                    "service": "Service",
                    "instance": "Instance",
                },
                "docs/runbooks has a page for each.",
            ),
        ],
    )


def _calls(name, what):
    """Latency and failures of a port's calls, by operation."""
    return [
        lines(
            f"{what}: p99 of the slowest operations",
            [("{{operation}}", f"topk(6, {quantile(0.99, name, 'operation')})")],
            "s",
            "From the call to its answer, whoever calls. Calls that are given up before an answer are not in it.",
        ),
        lines(
            f"{what}: calls a second, by outcome",
            [("{{outcome}}", rate(name + "_count", "outcome"))],
            "ops",
            "`conflict` is a normal answer. `unavailable` is none.",
        ),
    ]


def engines():
    """Log, registry and store, as the services see them."""
    return dashboard(
        "engines",
        "Engines",
        "Log, registry and store, as the services see them.",
        [
            lines(
                "Calls that failed, by engine",
                [("{{engine}}", f"sum by (engine) ({recorded('namespace_engine:postrider_engine_failures:rate5m')})")],
                "ops",
                "PostriderEngineFailures fires above three a minute.",
            ),
            lines(
                "Lag by group",
                [("{{group}}", f"max by (group) ({recorded('namespace_group:postrider_log_lag:max')})")],
                means="Told by receivers, which ask the log itself, so it stays when consumers die.",
            ),
            row("Log"),
            lines(
                "Appends: p50 and p99",
                quantiles("postrider_log_append_seconds", "engine"),
                "s",
                "From the append to the log's answer.",
            ),
            lines(
                "Appends that failed, by reason",
                [("{{reason}}", rate("postrider_log_append_failed_total", "reason"))],
                "ops",
                "`unavailable`: no answer in time. The others are refusals: an operator must look.",
            ),
            lines(
                "Records fetched a second",
                [("{{job}}", rate("postrider_log_fetched_total", "job"))],
                "ops",
                "By all groups.",
            ),
            lines(
                "Rebalances and trouble, in a minute",
                [
                    ("{{kind}}", f"60 * {rate('postrider_log_rebalances_total', 'kind')}"),
                    ("trouble: {{part}}", f"60 * {rate('postrider_log_trouble_total', 'part')}"),
                    ("producer rebuilt", f"60 * {rate('postrider_log_producer_rebuilds_total')}"),
                ],
                means="A rebalance moves partitions between processes; many of them mean that processes come and go. Trouble is "
                "what the log's client reports and goes on with.",
            ),
            lines(
                "Embedded log: records in one synchronisation",
                quantiles("postrider_log_group_commit_records"),
                means="More under load: appends share a synchronisation of the disk.",
            ),
            lines(
                "Lag polls, in a minute",
                [("{{outcome}}", f"60 * {rate('postrider_log_lag_polls_total', 'outcome')}")],
                means="Without answers the lag is not known: PostriderLogLagUnknown.",
            ),
            row("Registry"),
            *_calls("postrider_registry_call_seconds", "Registry"),
            lines(
                "Left alone by directors",
                [("{{job}}", most("postrider_director_registry_away", "job"))],
                means="1: what comes is parked.",
            ),
            lines(
                "Sessions announced again, in a minute",
                [("sessions", f"60 * {rate('postrider_sessions_announced_again_total')}")],
                means="The registry had lost them: it was restarted, or failed over.",
            ),
            row("Store"),
            *_calls("postrider_store_call_seconds", "Store"),
            lines(
                "Archiver: records a second, by stage",
                [("{{stage}}", rate("postrider_archiver_records_total", "stage"))],
                "ops",
            ),
            lines(
                "Dead letters that wait for their requeue", [("requeues", total("postrider_archiver_requeues_waiting"))]
            ),
        ],
    )
