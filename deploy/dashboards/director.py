"""The director's dashboard."""

from expressions import most, quantile, quantiles, rate, recorded, total
from grafana import dashboard, lines, row


def director():
    """From the log to nodes and to the store."""
    return dashboard(
        "director",
        "Director",
        "What becomes of records, how long that takes, and what is in the way.",
        [
            lines(
                "Records ended a second",
                [("{{end}}", rate("postrider_records_ended_total", "end"))],
                "ops",
                stacked=True,
            ),
            lines(
                "From acceptance to the end: p99",
                [("{{end}}", quantile(0.99, "postrider_director_end_seconds", "end"))],
                "s",
                "`parked` is how long it took to find out that nobody is there; what waits in the store counts no further.",
            ),
            lines(
                "Lag, and what is in flight",
                [
                    ("lag", "max(" + recorded("namespace_group:postrider_log_lag:max", 'group="director"') + ")"),
                    ("in flight", total("postrider_director_in_flight_records")),
                ],
                means="In flight and lag alike: records wait for clients or engines. Lag alone: directors are too few, or away.",
            ),
            lines(
                "Commit stall, by partition",
                [("{{partition}}", most("postrider_director_commit_stall_seconds", "partition"))],
                "s",
                "Since the commit moved while something is in flight. PostriderCommitStalled fires above two minutes.",
            ),
            lines(
                "Parked a second, by reason", [("{{reason}}", rate("postrider_director_parked_total", "reason"))], "ops"
            ),
            lines(
                "Bytes in flight, by partition",
                [("{{partition}}", total("postrider_director_in_flight_bytes", "partition"))],
                "bytes",
                "director.in_flight_bytes (64 MiB) bounds each.",
            ),
            lines(
                "Back-pressure, a second",
                [
                    ("paused: {{group}}", rate("postrider_director_pauses_total", "group")),
                    ("gave way: {{share}}", rate("postrider_director_gave_way_total", "share")),
                    ("lanes that try again", rate("postrider_director_retries_total")),
                    ("given up with a partition", rate("postrider_director_records_given_up_total")),
                ],
                "ops",
                "Gave way: whoever was above its share was parked to make room.",
            ),
            lines(
                "Looking up where recipients are",
                quantiles("postrider_director_lookup_seconds"),
                "s",
                "A batch, to the registry and back.",
            ),
            lines(
                "Registry left alone",
                [
                    ("away", most("postrider_director_registry_away")),
                    ("parked unasked, a second", rate("postrider_director_lookups_spared_total")),
                ],
            ),
            lines(
                "Streams to nodes",
                [
                    ("open", total("postrider_director_streams")),
                    ("left alone", total("postrider_director_breakers_open")),
                    ("lost, in a minute", f"60 * {rate('postrider_director_streams_lost_total')}"),
                ],
            ),
            lines(
                "Engines that did not answer, a second",
                [("{{engine}}", rate("postrider_director_engine_failures_total", "engine"))],
                "ops",
            ),
            lines(
                "Dead-lettered, in a minute",
                [("{{reason}}", f"60 * {rate('postrider_director_dead_lettered_total', 'reason')}")],
            ),
            row("Archiver"),
            lines(
                "Moved a second, by stage",
                [("{{stage}}", rate("postrider_archiver_records_total", "stage"))],
                "ops",
                width=8,
            ),
            lines(
                "Lag by stage",
                [
                    (
                        "{{group}}",
                        "max by (group) ("
                        + recorded("namespace_group:postrider_log_lag:max", 'group=~"archiver.*"')
                        + ")",
                    )
                ],
                width=8,
            ),
            lines(
                "Throttled, restarted, gaps, in a minute",
                [
                    ("throttled: {{stage}}", f"60 * {rate('postrider_archiver_throttled_total', 'stage')}"),
                    ("restarted: {{stage}}", f"60 * {rate('postrider_archiver_restarts_total', 'stage')}"),
                    ("gaps: {{cause}}", f"60 * {rate('postrider_archiver_gaps_total', 'cause')}"),
                    ("expired", f"60 * {rate('postrider_archiver_expired_total')}"),
                ],
                means="Throttled: catching up at director.archiver.rate.",
                width=8,
            ),
            row("Reconciler"),
            lines("Unaccounted", [("unaccounted", total("postrider_unaccounted"))], width=8),
            lines("Behind", [("{{instance}}", most("postrider_reconciler_behind_seconds", "instance"))], "s", width=8),
            lines(
                "Positions compared a second",
                [
                    ("compared", rate("postrider_reconciler_positions_total")),
                    ("could not be: {{reason}}", rate("postrider_reconciler_unjudged_total", "reason")),
                ],
                "ops",
                width=8,
            ),
        ],
    )
