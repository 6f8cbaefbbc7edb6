"""A pipeline in one process, on free ports in a directory of its own, and everything one can do to it."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from conftest import program, run
from exposition import samples

START_WITHIN_S = 60
FREE = ["receiver.listen", "distributor.listen", "admin.listen"]


def until(what, found, within=60):
    """Asks `found` until it answers something true, and answers that."""
    deadline = time.monotonic() + within
    while not (answer := found()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.05)
    return answer


def ask(url, body=None, bearer="", *, method=None, content_type="application/json"):
    """Status and body of an answer."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": content_type}
    request = urllib.request.Request(url, content, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def stop(processes):
    """Ends them, each by its own id, and waits."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def unconfigured():
    """The environment without settings, and without a collector, of whoever runs the tests."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("POSTRIDER_", "OTEL_"))}


class Standalone:
    """See the module. Use `running`."""

    def __init__(self, folder, settings):
        self.data = Path(folder) / "data"
        self.addresses_file = Path(folder) / "addresses.json"
        self.log = open(Path(folder) / "log", "wb")
        flags = [f"--set={key}=127.0.0.1:0" for key in FREE] + [f"--set={setting}" for setting in settings]
        command = [program(), "standalone", f"--data-dir={self.data}", f"--address-file={self.addresses_file}", *flags]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=unconfigured())
        self.listeners = []

    def wait(self):
        """Until it takes traffic."""
        until("standalone starts", lambda: self._alive() and self.addresses_file.exists(), START_WITHIN_S)
        addresses = json.loads(self.addresses_file.read_text())
        self.receiver, self.distributor, self.admin = (addresses[key] for key in ("receiver", "distributor", "admin"))
        credentials = (self.data / "credentials.toml").read_text()
        self.key = next(line.split('"')[1] for line in credentials.splitlines() if line.startswith("api_key"))

    def _alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"standalone ended:\n{Path(self.log.name).read_text()}")
        return True

    def stop(self):
        """Ends it, and whoever listens to it."""
        stop([*self.listeners, self.process])
        self.log.close()

    def cli(self, *arguments, check=True):
        """Runs a command of ours against it."""
        return run(program(), *arguments, f"--data-dir={self.data}", check=check)

    def listen(self, recipient, *arguments):
        """Starts a client that goes on until the end."""
        command = [program(), "listen", recipient, *arguments, f"--data-dir={self.data}"]
        self.listeners.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log))

    def token(self, recipient):
        """A client's token."""
        return self.cli("token", "create", "--recipient", recipient).stdout.strip()

    def ask(self, path, body=None, *, at=None, bearer=None, **options):
        """Status and body of an answer, of the receiver where nobody else is named."""
        return ask(f"http://{at or self.receiver}{path}", body, bearer or self.key, **options)

    def send(self, *recipients, **fields):
        """Sends one notification to each."""
        items = [{"to": {"recipient": to}, "type": "test", "content": {"to": to}, **fields} for to in recipients]
        status, body = self.ask("/v1/notifications/batch", items)
        assert status < 300, body

    def scrape(self):
        """Name, labels and value of each sample."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30) as answer:
            return samples(answer.read().decode())

    def shows(self, name, least=1, **labels):
        """Waits until a series is at least so high, summed over what has these labels."""

        def there():
            found = [value for of, its, value in self.scrape() if of == name and labels.items() <= its.items()]
            return found and sum(found) >= least

        self._alive()
        until(f"{name} {labels} is {least}", there)


@contextmanager
def running(folder, *settings):
    """A pipeline that takes traffic, stopped at the end."""
    pipeline = Standalone(folder, settings)
    try:
        pipeline.wait()
        yield pipeline
    finally:
        pipeline.stop()


class Refuser:
    """A WebSocket client that refuses whatever it is sent."""

    def __init__(self, pipeline, recipient):
        host, port = pipeline.distributor.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        head = [
            "GET /v1/ws?window=8 HTTP/1.1", f"Host: {pipeline.distributor}", "Connection: Upgrade", "Upgrade: websocket",
            "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"Authorization: Bearer {pipeline.token(recipient)}",
            "Sec-WebSocket-Protocol: postrider.v1.json", "", "",
        ]  # fmt: skip
        self.socket.sendall("\r\n".join(head).encode())
        self.stream = self.socket.makefile("rb")
        assert b" 101 " in self.stream.readline()
        while self.stream.readline().strip():
            pass

    def refuse(self, code="reject"):
        """Waits for a notification and refuses it."""
        while True:
            frame = self._read()
            if frame["frame"] == "notification":
                return self.say(json.dumps({"frame": "nack", "seq": frame["seq"], "code": code}))

    def _read(self):
        first, second = self.stream.read(2)
        size = second & 0x7F
        if size > 125:
            size = struct.unpack(">H" if size == 126 else ">Q", self.stream.read(2 if size == 126 else 8))[0]
        body = self.stream.read(size)
        return json.loads(body) if first & 0x0F == 1 else {"frame": "control"}

    def say(self, text):
        """Sends a text frame."""
        body = text.encode()
        assert len(body) < 126
        # Masked with zeros: what it hides from proxies matters to none here.
        self.socket.sendall(bytes([0x81, 0x80 | len(body), 0, 0, 0, 0]) + body)

    def close(self):
        """Ends the connection."""
        self.stream.close()
        self.socket.close()
