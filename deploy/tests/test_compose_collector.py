"""The collector of docker-compose.yml, run for real, built from source: which lines it takes, and what it makes of them."""

import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT, run, tool

pytestmark = pytest.mark.long
OBSERVABILITY = ROOT / "deploy" / "observability"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(scope="module")
def collector(tmp_path_factory):
    version = f"v{json.loads((ROOT / 'deploy' / 'images.json').read_text())['collector']['tag']}"
    built = ROOT / ".tools" / "bin" / f"collector-{version}"
    if not built.is_file():
        folder, go = tmp_path_factory.mktemp("collector"), tool("go")
        manifest = (OBSERVABILITY / "collector-builder.yaml").read_text()
        manifest = manifest.replace("${version}", version).replace("${output}", str(folder / "out"))
        (folder / "manifest.yaml").write_text(manifest)
        builder = f"go.opentelemetry.io/collector/cmd/builder@{version}"
        command = ["nice", "-n", "10", go, "run", builder, "--config", folder / "manifest.yaml"]
        run(*command, cwd=folder, timeout=3600)
        built.parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / "collector").rename(built)
    return str(built)


class Loki(BaseHTTPRequestHandler):
    """Takes what the collector exports, and keeps it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def loki():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Loki)
    server.taken = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def changes(tmp_path, loki):
    """What is elsewhere on this side: addresses and folders. Everything else is the file as it is mounted."""
    ports = free_ports(3)
    return [
        f"yaml:extensions::health_check::endpoint: 127.0.0.1:{ports[0]}",
        f"yaml:extensions::file_storage::directory: {tmp_path}",
        f"yaml:receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:{ports[1]}",
        f"yaml:receivers::file_log::include: ['{tmp_path}/containers/*/*-json.log']",
        f"yaml:exporters::otlp_http/loki::endpoint: http://127.0.0.1:{loki.server_port}/otlp",
        "yaml:exporters::otlp_http/loki::encoding: json",
        "yaml:exporters::otlp_http/loki::compression: none",
        "yaml:service::telemetry::metrics::readers: "
        f"[{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {ports[2]}}}}}}}}}]",
    ]


def line(text, service=None):
    """A line of Docker's json-file driver, as the containers of docker-compose.yml have it, or as others have."""
    entry = {"log": text + "\n", "stream": "stderr", "time": "2026-05-06T07:08:09.123456789Z"}
    if service:
        attributes = {"com.docker.compose.project": "postrider", "com.docker.compose.service": service}
        entry["attrs"] = {**attributes, "tag": f"postrider-{service}-1"}
    return compact(entry) + "\n"


def compact(value):
    """As Docker and our own programs write JSON: without blanks."""
    return json.dumps(value, separators=(",", ":"))


def test_the_configuration_can_be_used_as_it_is(collector, tmp_path):
    # Only the volume is elsewhere.
    volume = f"yaml:extensions::file_storage::directory: {tmp_path}"
    said = run(collector, "validate", f"--config={OBSERVABILITY / 'collector.yaml'}", f"--config={volume}")
    assert "deprecated" not in said.stdout + said.stderr


def test_lines_of_the_project_get_to_loki_and_lines_of_others_do_not(collector, loki, tmp_path):
    ours = compact({"timestamp": "2026-05-06T07:08:09Z", "level": "WARN", "message": "slow", "trace_id": TRACE})
    for name, text in {
        "a": line(ours, "director") + line("not JSON at all", "director"),
        "b": line("database system is ready", "postgres"),
        "c": line("somebody else's secret"),
    }.items():
        folder = tmp_path / "containers" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-json.log").write_text(text)
    arguments = [f"--config={change}" for change in changes(tmp_path, loki)]
    with open(tmp_path / "log", "wb") as log:
        command = [collector, f"--config={OBSERVABILITY / 'collector.yaml'}", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while len(records(loki)) < 3:
            said = (tmp_path / "log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, f"{loki.taken}\n{said[-4000:]}"
            time.sleep(0.2)
    finally:
        process.terminate()
        process.wait(30)
    assert {path for path, _ in loki.taken} == {"/otlp/v1/logs"}
    found = {record["body"]["stringValue"].strip(): (resource, record) for resource, record in records(loki)}
    assert set(found) == {ours, "not JSON at all", "database system is ready"}
    resource, record = found[ours]
    assert resource == {
        "service.name": "director", "service.namespace": "postrider", "service.instance.id": "postrider-director-1",
    }  # fmt: skip
    assert record["severityText"] == "WARN"
    assert record["timeUnixNano"] == "1778051289123456789"
    assert attributes(record["attributes"]) == {"trace_id": TRACE}
    resource, record = found["database system is ready"]
    assert resource["service.name"] == "postgres" and not record.get("attributes")


def records(loki):
    return [
        (attributes(resource["resource"]["attributes"]), record)
        for _, body in list(loki.taken)
        for resource in body["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def attributes(pairs):
    return {pair["key"]: pair["value"]["stringValue"] for pair in pairs}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
