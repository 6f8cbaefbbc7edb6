"""What OPERATING.md says of engines that lost what they had, done as it says: with four services on real engines."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import services
from conftest import ROOT, program, run
from standalone import unconfigured, until

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "OPERATING.md").read_text()


@pytest.fixture
def pipeline():
    running = services.Services()
    try:
        running.start()
        yield running
    finally:
        running.stop()


def environment(pipeline):
    """As whoever types the page's commands has it."""
    programs = f"{Path(program()).parent}:{os.environ['PATH']}"
    postgres = f"postgres://postrider@127.0.0.1:{pipeline.ports['postgres']}/postgres"
    redis = f"redis://127.0.0.1:{pipeline.ports['redis']}"
    config = {"POSTRIDER_CONFIG": str(pipeline.config), "POSTGRES_URL": postgres, "REDIS_URL": redis}
    return {**unconfigured(), "PATH": programs, **config}


def block(after):
    """The first shell block after a phrase of the page."""
    return re.search(r"```sh\n(.*?)```", PAGE[PAGE.index(after) :], re.DOTALL).group(1)


def type_in(pipeline, commands):
    return run("bash", "-euo", "pipefail", "-c", commands, env=environment(pipeline)).stdout


def shown(pipeline, recipient):
    """How many of a recipient's the page's own query shows."""
    query = block("Stored, because its recipient was away?").replace("'alice'", f"'{recipient}'")
    return int(re.search(r"\((\d+) rows\)", type_in(pipeline, query)).group(1))


def count(pipeline, recipient):
    url = environment(pipeline)["POSTGRES_URL"]
    query = f"SELECT count(*) FROM stored WHERE recipient = '{recipient}'"
    return int(run("psql", url, "-Atc", query).stdout)


def test_kafka_is_lost(pipeline):
    for number in range(20):
        pipeline.send("before", "long-gone", content={"number": number})
    until("they are stored", lambda: count(pipeline, "before") == 20)
    assert shown(pipeline, "before") == 20

    pipeline.end(*services.SERVICES)
    pipeline.kill("kafka")
    shutil.rmtree(pipeline.folder / "kafka")
    pipeline.start_engine("kafka")
    assert pipeline.config.read_text().count("replication = 1") == 1
    pipeline.config.write_text(pipeline.config.read_text().replace("replication = 1", "replication = 1\nepoch = 2"))
    until("the log answers", lambda: "the log is unavailable" not in pipeline.cli("doctor", check=False).stdout)
    type_in(pipeline, block("**Kafka lost.**"))
    for service in services.SERVICES:
        pipeline.start_service(service)

    pipeline.send("after", content={"number": 1})
    until("what is parked is stored", lambda: count(pipeline, "after") == 1)
    assert pipeline.receive("after", 1) == [{"number": 1}]
    # Its offset lies below what the old log had come to.
    pipeline.send("before", content={"number": 20})
    assert pipeline.receive("before", 21) == [{"number": number} for number in range(21)]


def test_postgres_is_restored_to_an_earlier_time(pipeline):
    url = environment(pipeline)["POSTGRES_URL"]
    pipeline.send("early", content={"number": 0})
    until("it is stored", lambda: count(pipeline, "early") == 1)
    backup = pipeline.folder / "backup.sql"
    with open(backup, "wb") as file:
        subprocess.run(["pg_dump", url], stdout=file, check=True, timeout=60)
    for number in range(1, 10):
        pipeline.send("early", "late", content={"number": number})
    until("they are stored", lambda: count(pipeline, "late") == 9)

    pipeline.end(*services.SERVICES)
    run("psql", url, "-qc", "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    run("psql", url, "-qv", "ON_ERROR_STOP=1", "-f", backup)
    assert (count(pipeline, "early"), count(pipeline, "late")) == (1, 0)
    for service in services.SERVICES:
        pipeline.start_service(service)
    until("the archiver goes back", lambda: (count(pipeline, "early"), count(pipeline, "late")) == (10, 9), 120)
    assert pipeline.receive("early", 10) == [{"number": number} for number in range(10)]


def test_redis_comes_back_empty(pipeline):
    pipeline.send("away", content={"number": 0})
    until("it is stored", lambda: count(pipeline, "away") == 1)
    pipeline.kill("redis")
    pipeline.start_engine("redis")
    assert pipeline.receive("away", 1) == [{"number": 0}]
