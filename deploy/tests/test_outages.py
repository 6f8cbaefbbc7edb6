"""The alerts in earnest: four services on real engines, watched by a real Prometheus. Each part is killed, its alerts become
pending (their `for` is promtool's to test), it comes back, and they go."""

import threading
import time
from contextlib import contextmanager

import monitor
import pytest
import services
from standalone import until

pytestmark = pytest.mark.long

RECIPIENTS = ["ann", "bob"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    pipeline = services.Services()
    try:
        pipeline.start()
        for recipient in RECIPIENTS:
            pipeline.listen(recipient)
        with (
            monitor.watching(tmp_path_factory.mktemp("outages"), pipeline.targets(), every="2s") as prometheus,
            load(pipeline),
        ):
            acknowledged = 'sum(rate(postrider_records_ended_total{end="acknowledged"}[20s])) > 1'
            until("notifications are acknowledged", lambda: prometheus.query(acknowledged), 120)
            yield pipeline, prometheus
    finally:
        pipeline.stop()


@contextmanager
def load(pipeline):
    """Sends without end, whatever is answered."""
    ended = threading.Event()

    def send():
        while not ended.is_set():
            try:
                pipeline.send(*RECIPIENTS, "nobody")
            except OSError:
                pass  # nobody listens: a receiver that was killed
            time.sleep(0.2)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def noticed(prometheus, alert, **labels):
    asked = ",".join(f'{name}="{value}"' for name, value in {"alertname": alert, **labels}.items())
    return bool(prometheus.query(f"ALERTS{{{asked}}}"))


def test_nothing_is_noticed_while_all_is_well(watched):
    _, prometheus = watched
    until("nothing is pending", lambda: not prometheus.query("ALERTS"))


OUTAGES = {
    "redis": [("PostriderEngineFailures", {"engine": "registry"}), ("PostriderRegistryAway", {})],
    "postgres": [("PostriderEngineFailures", {"engine": "store"}), ("PostriderNoScheduleLeader", {})],
    "kafka": [("PostriderEngineFailures", {"engine": "log"}), ("PostriderReceiverErrors", {})],
    "executor": [("PostriderDown", {"service": "executor"})],
    "distributor": [("PostriderDown", {"service": "distributor"})],
    "director": [("PostriderDown", {"service": "director"})],
    "receiver": [("PostriderDown", {"service": "receiver"}), ("PostriderLogLagUnknown", {})],
}


@pytest.mark.parametrize("part", OUTAGES)
def test_an_outage_is_noticed(watched, part):
    pipeline, prometheus = watched
    pipeline.kill(part)
    for alert, labels in OUTAGES[part]:
        until(f"{alert} {labels} is pending", lambda: noticed(prometheus, alert, **labels), 180)  # noqa: B023
    if part == "director":
        # Told by receivers: it stays, and grows, with nobody left to consume.
        until("the lag grows", lambda: prometheus.query('max(postrider_log_lag{group="director"}) > 50'), 60)
    if part in services.ENGINES:
        pipeline.start_engine(part)
    else:
        pipeline.start_service(part)
        until("nobody is missed", lambda: not noticed(prometheus, "PostriderDown", service=part))
    going_on = 'sum(increase(postrider_records_ended_total{end="acknowledged"}[10s])) > 5'
    until("delivery goes on", lambda: prometheus.query(going_on), 180)
