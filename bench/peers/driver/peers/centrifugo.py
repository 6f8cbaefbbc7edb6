"""Centrifugo: history and recovery in its memory engine."""

import json
import time
from pathlib import Path
from typing import Any

from ..connection import WebSocketClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import HttpPublisher
from ..servers import free_port, listens
from ..wire import http, websocket
from .jwt import token

_SECRET = "a secret of measurements on loopback, longer than thirty-two bytes"
_API_KEY = "a-key-of-measurements"


def _channel(number: int) -> str:
    """A channel that only this user may subscribe to."""
    return f"inbox:to#{number}"


class Client(WebSocketClient):
    """Connects with a token, subscribes to its own channel; remembers epoch and offset."""

    def opening(self) -> bytes:
        return websocket.handshake("127.0.0.1", "/connection/websocket", {})

    def opened(self) -> None:
        bearer = token({"sub": str(self.number), "exp": int(time.time()) + 86400}, _SECRET)
        subscribe: dict[str, Any] = {"channel": _channel(self.number)}
        if self.resume is not None:
            subscribe |= {"recover": True, "epoch": self.resume[0], "offset": self.resume[1]}
        self._say({"id": 1, "connect": {"token": bearer}}, {"id": 2, "subscribe": subscribe})

    def _say(self, *commands: dict[str, Any]) -> None:
        self.write(websocket.frame(websocket.TEXT, b"\n".join(json.dumps(command).encode() for command in commands)))

    def message(self, payload: bytes) -> None:
        for line in payload.split(b"\n"):
            if not line:
                continue
            said = json.loads(line)
            if not said:
                self._say({})
            elif "push" in said:
                publication = said["push"].get("pub")
                if publication is not None:
                    self.got(line)
                    assert self.resume is not None
                    self.resume = (self.resume[0], publication["offset"])
            elif "error" in said:
                self.fail(f"{said['error']}")
            elif "subscribe" in said:
                self._subscribed(said["subscribe"], line)

    def _subscribed(self, answer: dict[str, Any], line: bytes) -> None:
        self.got(line)
        self.resume = (answer.get("epoch", ""), answer.get("offset", 0))
        self.up()


class Publisher(HttpPublisher):
    """`/api/publish` for one, `/api/batch` for several."""

    _HEADERS = {"X-API-Key": _API_KEY, "Content-Type": "application/json"}

    def _command(self, number: int) -> dict[str, Any]:
        return {"channel": _channel(self.book.target(number)), "data": payload(self.book.run, number)}

    def single(self, number: int) -> bytes:
        body = json.dumps(self._command(number)).encode()
        return http.request("POST", "/api/publish", "127.0.0.1", self._HEADERS, body)

    def several(self, group: list[int]) -> bytes:
        body = json.dumps({"commands": [{"publish": self._command(number)} for number in group]}).encode()
        return http.request("POST", "/api/batch", "127.0.0.1", self._HEADERS, body)

    def verdicts(self, group: list[int], status: int, body: bytes) -> list[bool]:
        if status != 200:
            return [False] * len(group)
        answer = json.loads(body)
        if len(group) == 1:
            return ["result" in answer]
        return ["publish" in reply for reply in answer["replies"]]


class Default(Peer):
    row = "Centrifugo"
    protocol = "centrifugo"
    work = "kept in memory, 100 for each channel; no acknowledgement by the client"
    settings_text = ("memory engine, JSON protocol; a token and a channel of its own for each client;"
                     " `history_size` 100, `history_ttl` 300 s, `force_recovery`")

    def version(self) -> str:
        return self.places.built_of("centrifugo", "github.com/centrifugal/centrifugo/v5")

    def memory(self) -> dict[str, Any]:
        return {}

    def configure(self, folder: Path) -> None:
        self._port = free_port()
        self._file = folder / "centrifugo.json"
        namespace = {"name": "inbox", "allow_user_limited_channels": True, "history_size": 100, "history_ttl": "300s",
                     "force_recovery": True}
        settings = {
            "address": "127.0.0.1", "port": str(self._port), "log_level": "warn", "token_hmac_secret_key": _SECRET,
            "api_key": _API_KEY, "namespaces": [namespace], "usage_stats_disable": True, **self.memory(),
        }
        self._file.write_text(json.dumps(settings), encoding="utf-8")

    def start(self) -> None:
        self.servers.start("centrifugo", [self.places.program("centrifugo"), "-c", str(self._file)],
                           lambda: listens(self._port))

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._port}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._port}


class Tuned(Default):
    row = "Centrifugo, tuned for memory"
    settings_text = "`websocket_use_write_buffer_pool`, `websocket_read_buffer_size` 512; otherwise as above"
    memory_only = True

    def memory(self) -> dict[str, Any]:
        return {"websocket_use_write_buffer_pool": True, "websocket_read_buffer_size": 512}
