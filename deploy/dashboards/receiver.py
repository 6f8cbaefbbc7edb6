"""The receiver's dashboard."""

from expressions import quantile, quantiles, rate, total
from grafana import dashboard, lines
from listeners import listeners


def receiver():
    """Producers' side."""
    return dashboard(
        "receiver",
        "Receiver",
        "What producers send and how they are answered.",
        [
            lines(
                "Accepted a second",
                [
                    ("notifications", rate("postrider_receiver_accepted_total")),
                    ("tasks", rate("postrider_receiver_tasks_accepted_total")),
                ],
                "ops",
                "Durable on the log, and answered so.",
            ),
            lines(
                "Requests a second, by answer",
                [("{{status}}", rate("postrider_receiver_requests_total", "status"))],
                "reqps",
                "4xx: the producer has to change something. 5xx: it sends again.",
                stacked=True,
            ),
            lines(
                "Requests a second, by operation",
                [("{{operation}}", rate("postrider_receiver_requests_total", "operation"))],
                "reqps",
            ),
            lines(
                "Refusals a second, by code",
                [("{{code}}", rate("postrider_receiver_refused_total", "code"))],
                "ops",
                "docs/openapi.json lists the codes. Items of batches count, too.",
            ),
            lines(
                "Requests: p99 of the slowest operations",
                [("{{operation}}", f"topk(6, {quantile(0.99, 'postrider_receiver_request_seconds', 'operation')})")],
                "s",
                "From the head of a request to its answer; the body's way here is in it.",
            ),
            lines("Appends: p50 and p99", quantiles("postrider_receiver_append_seconds"), "s", "The log's part of it."),
            lines(
                "Memory of requests under way",
                [("{{instance}}", total("postrider_receiver_in_flight_bytes", "instance"))],
                "bytes",
                "At receiver.in_flight_bytes (64 MiB) further ones are answered 503 overloaded.",
            ),
            lines(
                "API keys: questions a second, by who answered",
                [("{{by}}", rate("postrider_receiver_key_lookups_total", "by"))],
                "ops",
                "The cache answers nearly all; a stale answer means that the store is away.",
            ),
            lines(
                "Modules and bindings: questions a second",
                [("{{of}}: {{by}}", rate("postrider_receiver_lookups_total", "of, by"))],
                "ops",
            ),
            lines(
                "Checks of inputs and modules",
                quantiles("postrider_receiver_check_seconds"),
                "s",
                "The wait for a place included.",
            ),
            lines(
                "Tasks entered into the store, a second",
                [("{{outcome}}", rate("postrider_receiver_tasks_entered_total", "outcome"))],
                "ops",
                "What was not entered in time is left to the executor, and is run all the same.",
            ),
            lines(
                "Asked for by people, in a minute",
                [
                    (
                        "dead letters: {{change}}",
                        f"60 * {rate('postrider_receiver_dead_letters_changed_total', 'change')}",
                    ),
                    ("tasks: {{change}}", f"60 * {rate('postrider_receiver_tasks_changed_total', 'change')}"),
                ],
            ),
            *listeners(),
        ],
    )
