"""Mercure: server-sent events, history in a Bolt file."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..connection import EventClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import HttpPublisher
from ..servers import free_port, listens
from ..wire import http
from .jwt import token

_SECRET = "a secret of measurements on loopback, longer than thirty-two bytes"
_PATH = "/.well-known/mercure"


def _topic(number: int) -> str:
    return f"https://example.com/to/{number}"


class Client(EventClient):
    """Subscribes to its own topic, whose updates are private; remembers the last event."""

    def opening(self) -> bytes:
        topic = _topic(self.number)
        bearer = token({"exp": int(time.time()) + 86400, "mercure": {"subscribe": [topic]}}, _SECRET)
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "text/event-stream"}
        if self.resume:
            headers["Last-Event-ID"] = self.resume
        return http.request("GET", f"{_PATH}?topic={quote(topic, safe='')}", "127.0.0.1", headers)

    def started(self, answer: http.Head) -> None:
        # Where the hub stands: what a client that has had nothing yet goes on from.
        self.resume = self.resume or answer.headers.get("last-event-id")
        self.up()

    def event(self, name: bytes, content: bytes) -> None:
        self.got(content)
        self.resume = name.decode()


class Publisher(HttpPublisher):
    """A form for each update."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bearer = token({"exp": int(time.time()) + 86400, "mercure": {"publish": ["*"]}}, _SECRET)
        self._headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/x-www-form-urlencoded"}

    def single(self, number: int) -> bytes:
        update = {"topic": _topic(self.book.target(number)), "data": payload(self.book.run, number), "private": "on"}
        return http.request("POST", _PATH, "127.0.0.1", self._headers, urlencode(update).encode())


class Bolt(Peer):
    row = "Mercure, SSE"
    protocol = "mercure"
    work = "kept in a Bolt file, synced, before the answer; no acknowledgement by the client"
    settings_text = "HTTP/1.1 without TLS; Bolt transport, defaults; a token and a private topic for each client"
    batch = 0

    def version(self) -> str:
        return self.places.built_of("mercure", "github.com/dunglas/mercure")

    def configure(self, folder: Path) -> None:
        self._port = free_port()
        self._file = folder / "Caddyfile"
        self._file.write_text(
            "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel WARN\n\t}\n}\n"
            f"http://127.0.0.1:{self._port} {{\n\tbind 127.0.0.1\n\tmercure {{\n"
            f'\t\tpublisher_jwt "{_SECRET}"\n\t\tsubscriber_jwt "{_SECRET}"\n'
            f"\t\ttransport bolt {{\n\t\t\tpath {folder}/mercure.db\n\t\t}}\n\t}}\n}}\n", encoding="utf-8")

    def start(self) -> None:
        folder = str(self.servers.folder)
        self.servers.start("mercure", [self.places.program("mercure"), "run", "--config", str(self._file)],
                           lambda: listens(self._port),
                           environment={"HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder})

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._port}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._port}
