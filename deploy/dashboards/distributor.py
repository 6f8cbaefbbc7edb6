"""The distributor's dashboard."""

from expressions import quantile, rate, total
from grafana import dashboard, lines
from listeners import listeners


def distributor():
    """Clients' side."""
    return dashboard(
        "distributor",
        "Distributor",
        "Who is connected, what they get, and how soon they acknowledge it.",
        [
            lines("Sessions by transport", [("{{transport}}", total("postrider_sessions", "transport"))], stacked=True),
            lines(
                "Sessions, of those a node may hold",
                [
                    (
                        "{{instance}}",
                        f"{total('postrider_sessions', 'instance')} / {total('postrider_sessions_most', 'instance')}",
                    )
                ],
                "percentunit",
                "PostriderSessionsNearCap fires above 85 %.",
            ),
            lines(
                "Sessions opened and resumed, a second",
                [
                    ("opened: {{transport}}", rate("postrider_sessions_opened_total", "transport")),
                    ("resumed: {{transport}}", rate("postrider_sessions_resumed_total", "transport")),
                ],
                "ops",
                "Many at once: a node left, or a network came back.",
            ),
            lines(
                "Clients that got no session, a second",
                [
                    ("{{cause}}", rate("postrider_sessions_refused_total", "cause")),
                    ("{{code}}", rate("postrider_requests_refused_total", "code")),
                ],
                "ops",
                "By cause, and by problem code of what was refused before there could be one.",
            ),
            lines(
                "From the frame to its acknowledgement: p50",
                [("{{transport}}", quantile(0.5, "postrider_acknowledgement_seconds", "transport"))],
                "s",
                "The client's part of the way.",
            ),
            lines(
                "From the frame to its acknowledgement: p99",
                [("{{transport}}", quantile(0.99, "postrider_acknowledgement_seconds", "transport"))],
                "s",
                "PostriderDeliveryLatency with this high: clients are slow, and not the pipeline.",
            ),
            lines(
                "Notifications sent a second",
                [("{{transport}}", rate("postrider_notifications_sent_total", "transport"))],
                "ops",
                "Frames, stored ones and repeated ones included.",
            ),
            lines(
                "Verdicts a second",
                [("{{verdict}}", rate("postrider_verdicts_total", "verdict"))],
                "ops",
                "What directors are answered.",
            ),
            lines(
                "What was stored, a second",
                [
                    ("stored ones", rate("postrider_drained_total")),
                    ("gaps told: {{cause}}", rate("postrider_gaps_told_total", "cause")),
                ],
                "ops",
                "To whoever came back. A gap says what will never come.",
            ),
            lines(
                "Gates",
                [("{{instance}}", total("postrider_gate_bytes", "instance"))],
                "bytes",
                "What waits behind stored ones.",
            ),
            lines(
                "Gates that were full, a second",
                [("spilled", rate("postrider_gate_full_total"))],
                "ops",
                "The rest goes by way of the store.",
            ),
            lines(
                "From directors",
                [
                    ("streams", total("postrider_link_streams")),
                    ("frames a second", rate("postrider_link_frames_total")),
                ],
            ),
            lines(
                "Given up, or failed, a second",
                [
                    ("given up: {{what}}", rate("postrider_distributor_given_up_total", "what")),
                    ("engine: {{engine}}", rate("postrider_distributor_engine_failures_total", "engine")),
                    ("relayed: {{outcome}}", rate("postrider_acknowledgements_relayed_total", "outcome")),
                ],
                "ops",
            ),
            lines(
                "Clients' mistakes, a second",
                [
                    ("frame: {{code}}", rate("postrider_bad_frames_total", "code")),
                    ("refused: {{reason}}", rate("postrider_refusals_dead_lettered_total", "reason")),
                    ("too large for a frame", rate("postrider_frames_not_sendable_total")),
                ],
                "ops",
            ),
            lines(
                "WebSockets ended a second, by reason",
                [("{{reason}}", rate("postrider_websockets_ended_total", "reason"))],
                "ops",
            ),
            *listeners(),
        ],
    )
