"""Four services on real engines, each a process of its own that can be killed and started again."""

import json
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from conftest import ROOT, program, run
from standalone import ask, stop, unconfigured, until

SERVICES = ["receiver", "director", "distributor", "executor"]
ENGINES = ["kafka", "redis", "postgres"]
# As small as works, and quick to notice.
SETTINGS = """
[kafka]
brokers = "127.0.0.1:{kafka}"
[redis]
url = "redis://127.0.0.1:{redis}"
[postgres]
url = "postgres://postrider@127.0.0.1:{postgres}/postgres"
connections = 4
[log]
partitions = 4
replication = 1
[auth]
secret = "not-a-secret-only-a-test-of-outages"
[receiver]
listen = "127.0.0.1:{producers}"
lag_poll_ms = 500
[distributor]
listen = "127.0.0.1:{clients}"
[executor.reaper]
count_ms = 500
"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Services:
    """See the module."""

    def __init__(self):
        # Postgres runs as a user of its own, who gets no further than this in pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="postrider-services-"))
        self.folder.chmod(0o755)
        # Kept, so that what is started again is found where it was.
        named = [*ENGINES, "control", "producers", "clients", *SERVICES]
        self.ports = {name: free_port() for name in named}
        self.config = self.folder / "postrider.toml"
        self.config.write_text(SETTINGS.format(**self.ports))
        self.processes, self.listeners = {}, []
        self.log = open(self.folder / "log", "wb")

    def _run(self, name, *command):
        process = subprocess.Popen(list(map(str, command)), stdout=self.log, stderr=self.log, env=unconfigured())
        self.processes[name] = process

    def cli(self, *arguments, check=True):
        """Runs a command of ours with the services' settings."""
        return run(program(), *arguments, f"--config={self.config}", check=check, env=unconfigured())

    def start_engine(self, name):
        """Starts one, on the data that it has."""
        control = [f"control={self.ports['control']}"] if name == "kafka" else []
        engines = ROOT / "scripts" / "engines"
        self._run(name, engines, "run", name, self.folder, f"port={self.ports[name]}", *control)

    def start_service(self, name):
        """Starts one, and waits until it wants traffic."""
        command = [
            program(f"postrider-{name}"),
            f"--config={self.config}",
            f"--set=admin.listen={self.operators(name)}",
        ]
        self._run(name, *command)
        until(
            f"{name} is ready",
            lambda: run(*command, "--probe=readyz", check=False, env=unconfigured()).returncode == 0,
            120,
        )

    def operators(self, name):
        """Where a service tells its metrics."""
        return f"127.0.0.1:{self.ports[name]}"

    def start(self):
        """Everything, from nothing."""
        for engine in ENGINES:
            self.start_engine(engine)
        until("the store answers", lambda: self.cli("migrate", check=False).returncode == 0, 120)
        until("the log answers", lambda: self.cli("topics", check=False).returncode == 0, 120)
        self.key = self.cli("key", "create").stdout.split()[-1]
        for service in SERVICES:
            self.start_service(service)

    def targets(self):
        """Scrape jobs, named as everywhere."""
        return {f"postrider-{name}": self.operators(name) for name in SERVICES}

    def kill(self, name):
        """Ends one without warning. Postgres takes its children with it when it is told to."""
        process = self.processes[name]
        process.send_signal(signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        process.wait(30)

    def end(self, *names):
        """Ends them in order, as a deployment does."""
        stop([self.processes[name] for name in names])

    def _client(self, recipient):
        token = self.cli("token", "create", "--recipient", recipient).stdout.strip()
        return [program(), "listen", recipient, f"--url=http://127.0.0.1:{self.ports['clients']}", f"--token={token}"]

    def listen(self, recipient):
        """A client that goes on until the end."""
        command = self._client(recipient)
        self.listeners.append(subprocess.Popen(command, stdout=self.log, stderr=self.log, env=unconfigured()))

    def receive(self, recipient, count):
        """What a client gets that stays for so many notifications: their contents."""
        shown = run(*self._client(recipient), f"--count={count}", "--json", env=unconfigured(), timeout=120).stdout
        return [json.loads(line)["content"] for line in shown.splitlines()]

    def send(self, *recipients, content=None):
        """Status of an attempt to send one notification to each."""
        items = [{"to": {"recipient": to}, "type": "test", "content": content or {"to": to}} for to in recipients]
        url = f"http://127.0.0.1:{self.ports['producers']}/v1/notifications/batch"
        return ask(url, items, self.key)[0]

    def stop(self):
        """Ends all of it, whoever speaks before whoever is spoken to."""
        stop(self.listeners)
        for names in (SERVICES, ENGINES):
            stop([self.processes[name] for name in names if name in self.processes])
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
