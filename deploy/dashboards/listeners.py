"""Panels of what every listener of a process tells."""

from expressions import rate, total
from grafana import lines, row


def listeners():
    """What every listener of a process tells."""
    return [
        row("Its listeners"),
        lines("Connections open", [("{{instance}}", total("postrider_connections_open", "instance"))], width=8),
        lines(
            "Connections turned away, a second",
            [
                ("{{cause}}", rate("postrider_connections_turned_away_total", "cause")),
                ("as many as may be", rate("postrider_connections_full_total")),
                ("no descriptor", rate("postrider_accept_failures_total")),
            ],
            "ops",
            "`rate`: more come than http.accepts_per_second. `address`: more of one address than http.per_address.",
            width=8,
        ),
        lines(
            "Connections that were too slow, a second",
            [("{{stage}}", rate("postrider_connections_timed_out_total", "stage"))],
            "ops",
            "By the stage of a request that they did not get over in time.",
            width=8,
        ),
    ]
