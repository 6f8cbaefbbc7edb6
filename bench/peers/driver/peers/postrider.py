"""Postrider: one process on embedded engines, or four services on Kafka, Redis and PostgreSQL."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from ..commands import Failed
from ..connection import WebSocketClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import HttpPublisher
from ..servers import free_port
from ..wire import http, websocket
from .jwt import token

_SECRET = "a secret of measurements on loopback, longer than thirty-two bytes"
_WINDOW = 64


class Client(WebSocketClient):
    """Acknowledges every notification as it comes; remembers its cursor."""

    _acknowledge = 0

    def opening(self) -> bytes:
        bearer = token({"sub": f"client-{self.number}", "tenant": "default", "exp": int(time.time()) + 86400}, _SECRET)
        cursor = f"&cursor={self.resume}" if self.resume else ""
        headers = {"Authorization": f"Bearer {bearer}", "Sec-WebSocket-Protocol": "postrider.v1.json"}
        return websocket.handshake("127.0.0.1", f"/v1/ws?window={_WINDOW}{cursor}", headers)

    def message(self, payload: bytes) -> None:
        frame = json.loads(payload)
        kind = frame["frame"]
        if kind == "notification":
            self.got(payload)
            self._acknowledge = frame["seq"]
            self.resume = frame["cursor"]
        elif kind == "gap":
            self._acknowledge = frame["seq"]
        elif kind == "welcome":
            self.resume = frame["cursor"]
            self.up()
        elif kind == "error":
            self.holder.complaints.append(f"client {self.number}: {payload.decode()}")

    def read_all(self) -> None:
        if self._acknowledge:
            acknowledgement = b'{"frame":"ack","seq":%d}' % self._acknowledge
            self._acknowledge = 0
            self.write(websocket.frame(websocket.TEXT, acknowledgement))


class Publisher(HttpPublisher):
    """`POST /v1/to/{recipient}` for one, `POST /v1/notifications/batch` for several."""

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings['api_key']}", "Content-Type": content_type}

    def single(self, number: int) -> bytes:
        content = payload(self.book.run, number).encode()
        path = f"/v1/to/client-{self.book.target(number)}"
        return http.request("POST", path, "127.0.0.1", self._headers("text/plain"), content)

    def several(self, group: list[int]) -> bytes:
        items = [
            {"to": {"recipient": f"client-{self.book.target(number)}"}, "type": "peer",
             "content_type": "text/plain", "content": payload(self.book.run, number)}
            for number in group
        ]
        body = json.dumps(items).encode()
        return http.request("POST", "/v1/notifications/batch", "127.0.0.1", self._headers("application/json"), body)

    def verdicts(self, group: list[int], status: int, body: bytes) -> list[bool]:
        if len(group) == 1 or status != 200:
            return super().verdicts(group, status, body)
        return ["id" in result for result in json.loads(body)["results"]]


class _Postrider(Peer):
    protocol = "postrider"
    # A record whose acknowledgement was lost comes again after a deadline of 10 s at most.
    quiet_s = 12.0

    _api_key = ""

    def _program(self, name: str) -> str:
        program = self.places.postrider / name
        if not program.is_file():
            raise Failed(f"{program} is missing: build it with `cargo build --release --workspace --bins`")
        return str(program)

    def version(self) -> str:
        return _output([self._program("postrider"), "--version"])

    def configure(self, folder: Path) -> None:
        self._receiver, self._distributor = free_port(), free_port()
        self._file = folder / "postrider.toml"
        text = f'[telemetry]\nfilter = "warn"\n[auth]\nalgorithm = "HS256"\nsecret = "{_SECRET}"\n'
        text += f'[receiver]\nlisten = "127.0.0.1:{self._receiver}"\n'
        text += f'[distributor]\nlisten = "127.0.0.1:{self._distributor}"\n'
        self._file.write_text(text + self._engine_settings(folder), encoding="utf-8")

    def _engine_settings(self, folder: Path) -> str:
        return ""

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._distributor}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._receiver, "api_key": self._api_key}

    def _launch(self, name: str, command: list[str]) -> None:
        addresses = self.servers.folder / f"{name}.json"
        addresses.unlink(missing_ok=True)
        self.servers.start(
            name, [*command, "--config", str(self._file), "--address-file", str(addresses)],
            lambda: addresses.is_file() and addresses.stat().st_size > 0,
        )


class Embedded(_Postrider):
    row = "Postrider, one process"
    work = "kept in SQLite, synced, before the answer; acknowledged by the client, one by one; then its offset is committed"
    settings_text = "`standalone`, defaults; window 64"

    def start(self) -> None:
        data = self.servers.folder / "data"
        self._launch("standalone", [self._program("postrider"), "standalone", "--data-dir", str(data)])
        credentials = (data / "credentials.toml").read_text(encoding="utf-8")
        found = re.search(r'^api_key = "(.*)"', credentials, re.MULTILINE)
        if found is None:
            raise Failed("no API key in the data directory")
        self._api_key = found[1]


class Distributed(_Postrider):
    row = "Postrider, four services"
    work = "kept in Kafka, not synced, before the answer; acknowledged by the client, one by one; then its offset is committed"
    settings_text = "receiver, director, distributor, executor; defaults, 3 partitions; one Kafka, Redis and PostgreSQL"
    # A killed member of the group keeps its partitions until Kafka gives it up.
    quiet_s = 60.0
    _SERVICES = ("receiver", "director", "distributor", "executor")

    def _engine_settings(self, folder: Path) -> str:
        self._engines = engines = Engines.of(self.places.engines)
        name = re.sub(r"[^a-z0-9]", "", folder.name.lower())
        engines.database(name)
        self.servers.engines = engines.processes()
        return (
            f'[log]\nprefix = "{name}."\npartitions = 3\n[kafka]\nbrokers = "{engines.of_("KAFKA_BROKERS")}"\n'
            f'[redis]\nurl = "{engines.of_("REDIS_URL")}"\nprefix = "{name}:"\n'
            f'[postgres]\nurl = "{engines.of_("POSTGRES_URL").rsplit("/", 1)[0]}/{name}"\n'
        )

    def configure(self, folder: Path) -> None:
        super().configure(folder)
        postrider, chosen = self._program("postrider"), ["--config", str(self._file)]
        for command in ("migrate", "topics"):
            _output([postrider, command, *chosen])
        made = _output([postrider, "key", "create", "--tenant", "default", "--label", "peers", *chosen])
        self._api_key = re.search(r"prk_\S+", made)[0]  # type: ignore[index]

    def start(self) -> None:
        for service in self._SERVICES:
            self._launch(service, [self._program(f"postrider-{service}")])

    def close(self) -> None:
        Engines.stop()


class Engines:
    """What `scripts/engines` started, once for all measurements of a run."""

    _running: "Engines | None" = None

    def __init__(self, root: Path) -> None:
        self.script = root / "scripts" / "engines"
        self.folder = Path(_output([str(self.script), "start", "measured"]).splitlines()[-1])
        text = (self.folder / "env").read_text(encoding="utf-8")
        self._names: dict[str, str] = dict(re.findall(r"POSTRIDER_TEST_(\w+)=['\"]?([^'\"\n]+)", text))

    @classmethod
    def of(cls, root: Path | None) -> "Engines":
        if cls._running is None:
            if root is None:
                raise Failed("no scripts/engines to start Kafka, Redis and PostgreSQL with")
            cls._running = cls(root)
        return cls._running

    @classmethod
    def stop(cls) -> None:
        if cls._running is not None:
            running, cls._running = cls._running, None
            subprocess.run([str(running.script), "stop", str(running.folder)], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)

    def of_(self, name: str) -> str:
        return self._names[name]

    def database(self, name: str) -> None:
        _output(["psql", "--no-psqlrc", "--quiet", self.of_("POSTGRES_URL"), "--command", f"create database {name}"])

    def processes(self) -> dict[str, int]:
        return {name.removesuffix(".pid"): int((self.folder / name).read_text())
                for name in os.listdir(self.folder) if name.endswith(".pid")}


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name} {command[1]}: {done.stderr[-1000:]}")
    return done.stdout.strip()
