"""sockudo: speaks the protocol of Pusher."""

import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from ..connection import WebSocketClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import HttpPublisher
from ..servers import free_port, listens
from ..wire import http, websocket

_APP, _KEY, _SECRET = "peers", "peers-key", "peers-secret"


def _signed(text: str) -> str:
    return hmac.digest(_SECRET.encode(), text.encode(), hashlib.sha256).hex()


class Client(WebSocketClient):
    """Subscribes to its own private channel."""

    def opening(self) -> bytes:
        return websocket.handshake("127.0.0.1", f"/app/{_KEY}?protocol=7&client=python&version=1", {})

    def message(self, payload: bytes) -> None:
        said = json.loads(payload)
        kind = said["event"]
        if kind == "to":
            self.got(payload)
        elif kind == "pusher:connection_established":
            self._subscribe(json.loads(said["data"])["socket_id"])
        elif kind.endswith(":subscription_succeeded"):
            self.up()
        elif kind == "pusher:ping":
            self._say("pusher:pong", {})
        elif kind in ("pusher:error", "pusher:subscription_error"):
            self.fail(payload.decode())

    def _subscribe(self, socket: str) -> None:
        channel = f"private-{self.number}"
        self._say("pusher:subscribe", {"channel": channel, "auth": f"{_KEY}:{_signed(f'{socket}:{channel}')}"})

    def _say(self, event: str, data: dict[str, Any]) -> None:
        self.write(websocket.frame(websocket.TEXT, json.dumps({"event": event, "data": data}).encode()))


class Publisher(HttpPublisher):
    """`events` for one, `batch_events` for several; each request is signed."""

    def _post(self, what: str, body: Any) -> bytes:
        content = json.dumps(body).encode()
        path = f"/apps/{_APP}/{what}"
        query = (f"auth_key={_KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
                 f"&body_md5={hashlib.md5(content).hexdigest()}")
        signature = _signed(f"POST\n{path}\n{query}")
        headers = {"Content-Type": "application/json"}
        return http.request("POST", f"{path}?{query}&auth_signature={signature}", "127.0.0.1", headers, content)

    def single(self, number: int) -> bytes:
        channels = [f"private-{self.book.target(number)}"]
        return self._post("events", {"name": "to", "channels": channels, "data": payload(self.book.run, number)})

    def several(self, group: list[int]) -> bytes:
        batch = [{"name": "to", "channel": f"private-{self.book.target(number)}", "data": payload(self.book.run, number)}
                 for number in group]
        return self._post("batch_events", {"batch": batch})


class Local(Peer):
    row = "sockudo"
    protocol = "sockudo"
    work = "keeps nothing, no acknowledgement by the client"
    settings_text = "local adapter, memory for apps and cache; a private channel for each client; 10 events a batch"
    batch = 10

    def version(self) -> str:
        done = subprocess.run([self.places.program("sockudo"), "--version"], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def configure(self, folder: Path) -> None:
        self._port, metrics = free_port(), free_port()
        app = {"id": _APP, "key": _KEY, "secret": _SECRET, "max_connections": "20000", "enabled": True,
               "enable_client_messages": False, "max_client_events_per_second": "1000"}
        settings = {
            "host": "127.0.0.1", "port": self._port, "debug": False,
            "adapter": {"driver": "local"}, "cache": {"driver": "memory"}, "queue": {"driver": "memory"},
            "app_manager": {"driver": "memory", "array": {"apps": [app]}},
            "metrics": {"enabled": False, "port": metrics}, "rate_limiter": {"enabled": False},
        }
        self._file = folder / "sockudo.json"
        self._file.write_text(json.dumps(settings), encoding="utf-8")

    def start(self) -> None:
        self.servers.start("sockudo", [self.places.program("sockudo"), "--config", str(self._file)],
                           lambda: listens(self._port))

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._port}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._port}
