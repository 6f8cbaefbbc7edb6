"""Everything that can happen to a pipeline that is well, so that it tells all its series."""

import itertools
import json
import threading
import time
from contextlib import contextmanager

from conftest import ROOT
from standalone import Refuser, until

MODULE = ROOT / "modules" / "dist" / "echo.wasm"

# What is looked at now and then is looked at often.
QUICK = ["receiver.lag_poll_ms=200", "executor.reaper.count_ms=200", "director.archiver.expire_ms=200"]

# What a pipeline on the embedded engines does not tell: it is of Kafka's driver. They are in docs/METRICS.md, which the code
# is checked against; one that is told after all has to go from here.
OF_KAFKA = {
    "postrider_log_producer_rebuilds_total",
    "postrider_log_rebalances_total",
    "postrider_log_trouble_total",
}
# Values of labels that only an outage brings: their series are there, without these values.
VALUES_OF_AN_OUTAGE = {
    ("postrider_receiver_requests_total", "status", "5.."),
    ("postrider_store_call_seconds_count", "outcome", "unavailable"),
    ("postrider_registry_call_seconds_count", "outcome", "ok"),
}


def drive(pipeline):
    """Sends, listens, refuses, runs tasks, enriches, schedules, requeues."""
    for transport in ("ws", "sse", "poll"):
        pipeline.listen(transport, "--transport", transport)
        pipeline.shows("postrider_sessions", transport=transport)
    pipeline.send("ws", "sse", "poll", "ws", "sse", "poll")
    for transport in ("ws", "poll"):
        pipeline.shows("postrider_acknowledgement_seconds_count", transport=transport)

    # Stored, then delivered; one is over before its recipient comes.
    pipeline.send("late", ttl=1)
    pipeline.shows("postrider_archiver_expired_total")
    pipeline.send("late")
    pipeline.cli("listen", "late", "--count=1")
    pipeline.shows("postrider_drained_total")

    # Refused while stored, refused as it comes, delivered after all.
    pipeline.send("strict")
    pipeline.shows("postrider_archiver_records_total", stage="rows", least=2)
    strict = Refuser(pipeline, "strict")
    strict.refuse()
    pipeline.shows("postrider_refusals_dead_lettered_total")
    pipeline.send("strict")
    strict.refuse()
    strict.say("no JSON")
    pipeline.shows("postrider_director_dead_lettered_total", reason="refused")
    pipeline.shows("postrider_bad_frames_total")
    strict.close()
    until("dead letters are listed", lambda: pipeline.cli("dead-letters", "list").stdout.count("refused") >= 2)
    pipeline.cli("dead-letters", "requeue", "--all")
    pipeline.shows("postrider_archiver_requeues_total", end="requeued", least=2)

    # What is wrong is refused.
    pipeline.ask("/v1/notifications", b"{")
    pipeline.ask("/v1/poll", at=pipeline.distributor, bearer="no")

    pipeline.cli("task", "run", "sum", "--to", "ws", "--input", "[1, 2, 39]", "--wait")
    pipeline.cli("task", "run", "sum", "--to", "ws", "--input", '"no"', "--wait", check=False)
    pipeline.shows("postrider_tasks_ended_total", state="failed")
    failed = json.loads(pipeline.ask("/v1/tasks?state=failed")[1])["tasks"][0]["id"]
    pipeline.cli("task", "retry", failed)
    pipeline.shows("postrider_tasks_found_total")
    # Uploading a module has it checked.
    assert (
        pipeline.ask("/v1/modules/mine@1", MODULE.read_bytes(), method="PUT", content_type="application/wasm")[0] < 300
    )
    pipeline.send("ws", task={"module": "echo"})
    pipeline.shows("postrider_enrichment_ended_total")
    pipeline.cli("schedule", "put", "often", "--every-ms=1000", "--module=sum", "--to=ws", "--input=[1]")
    pipeline.shows("postrider_schedules_fired_total")
    pipeline.shows("postrider_log_lag_polls_total", outcome="answered", least=12)


@contextmanager
def load(pipeline, recipients, *, batch=20, pause_s=0.2):
    """Sends without end meanwhile: most to who is there, some to who is not."""
    ended = threading.Event()
    failed = []

    def send():
        turns = itertools.cycle([*recipients, *recipients, *recipients, "nobody"])
        while not ended.is_set():
            try:
                pipeline.send(*itertools.islice(turns, batch))
            except Exception as error:
                failed.append(error)
                return
            time.sleep(pause_s)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failed, failed
