"""A real Prometheus with our rules, and its HTTP API."""

import json
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import yaml

from conftest import tool
from named import FILES
from standalone import until


class Prometheus:
    """See the module. Use `watching`."""

    def __init__(self, folder, targets, every="1s"):
        folder = Path(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        jobs = [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()]
        config = {
            "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
            "rule_files": [str(FILES / "recording.yaml"), str(FILES / "alerts.yaml")],
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self.log = open(folder / "prometheus.log", "wb")
        flags = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"]
        command = [tool("prometheus"), *flags, f"--web.listen-address={self.address}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def ready(self):
        """Whether it answers."""
        if self.process.poll() is not None:
            raise AssertionError(f"prometheus ended:\n{Path(self.log.name).read_text()}")
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        """What the API answers; an error of it is an error here."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression):
        """The series that an expression answers now."""
        return self.ask("query", query=expression)["result"]

    def rules(self):
        """Every rule with its health and, of alerts, its state."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def stop(self):
        """Ends it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


@contextmanager
def watching(folder, targets, every="1s"):
    """One that scrapes `targets` (job to address), stopped at the end."""
    prometheus = Prometheus(folder, targets, every)
    try:
        until("Prometheus starts", prometheus.ready)
        yield prometheus
    finally:
        prometheus.stop()
