"""NATS: the core, which keeps nothing, and JetStream, which does. Its clients, and how each is started."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from ..connection import WebSocketClient
from ..peer import Peer
from ..servers import free_port, listens
from ..wire import nats, websocket
from .nats_publishing import TOKEN, hello

_STREAM = "notifications"
_ACK_WAIT_S = 10


class Client(WebSocketClient):
    """Subscribes to its own subject."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stream = nats.Stream()

    def opening(self) -> bytes:
        return websocket.handshake("127.0.0.1", "/", {})

    def opened(self) -> None:
        self.say(hello() + nats.subscribe(f"to.{self.number}", 1) + b"PING\r\n")

    def say(self, data: bytes) -> None:
        self.write(websocket.frame(websocket.BINARY, data))

    def message(self, payload: bytes) -> None:
        for said in self._stream.feed(payload):
            if isinstance(said, nats.Message):
                self.delivered(said)
            elif said == b"PONG":
                self.ponged()
            elif said == b"PING":
                self.say(b"PONG\r\n")
            elif said.startswith(b"-ERR"):
                self.fail(said.decode())

    def ponged(self) -> None:
        self.up()

    def delivered(self, message: nats.Message) -> None:
        self.got(message.payload)


class DurableClient(Client):
    """Has a durable consumer of its own, and acknowledges every message."""

    def opened(self) -> None:
        self._inbox = f"made.{self.number}"
        config = {
            "durable_name": f"c{self.number}", "deliver_subject": f"deliver.{self.number}",
            "filter_subject": f"to.{self.number}", "ack_policy": "explicit", "ack_wait": _ACK_WAIT_S * 10**9,
            "deliver_policy": "all", "max_ack_pending": 64, "replay_policy": "instant",
        }
        body = json.dumps({"stream_name": _STREAM, "config": config}).encode()
        subject = f"$JS.API.CONSUMER.DURABLE.CREATE.{_STREAM}.c{self.number}"
        self.say(hello() + nats.subscribe(f"deliver.{self.number}", 1) + nats.subscribe(self._inbox, 2)
                 + nats.publish(subject, body, self._inbox))

    def ponged(self) -> None:
        """It is up when its consumer is."""

    def delivered(self, message: nats.Message) -> None:
        if message.subject == self._inbox.encode():
            answer = json.loads(message.payload) if message.payload else {"error": "no JetStream"}
            if "error" in answer:
                self.fail(f"consumer: {answer['error']}")
            else:
                self.up()
            return
        self.got(message.payload)
        self.say(nats.publish(message.reply.decode(), b"+ACK"))


class Core(Peer):
    row = "NATS core, WebSocket"
    protocol = "nats"
    work = "keeps nothing, no answer to a publication, no acknowledgement by the client"
    settings_text = "defaults; one token for all; WebSocket without TLS and compression; published over TCP"

    def version(self) -> str:
        return self.places.built_of("nats-server", "github.com/nats-io/nats-server/v2")

    def configure(self, folder: Path) -> None:
        self._port, self._web = free_port(), free_port()
        self._file = folder / "nats.conf"
        self._file.write_text(
            f'listen: "127.0.0.1:{self._port}"\nauthorization {{ token: "{TOKEN}" }}\n'
            f'websocket {{ listen: "127.0.0.1:{self._web}", no_tls: true, compression: false }}\n'
            + self.storage(folder), encoding="utf-8")

    def storage(self, folder: Path) -> str:
        return ""

    def start(self) -> None:
        self.servers.start("nats-server", [self.places.program("nats-server"), "-c", str(self._file)],
                           lambda: listens(self._port) and listens(self._web))

    def client_settings(self) -> dict[str, Any]:
        return {"port": self._web}

    def publisher_settings(self) -> dict[str, Any]:
        return {"api_port": self._port}


class JetStream(Core):
    row = "NATS JetStream, WebSocket"
    protocol = "jetstream"
    work = "kept in a file stream before the answer (not synced); acknowledged by the client, one by one"
    settings_text = ("one file stream, limits retention, `max_consumers` 20000, `sync_interval` default (2 min); a durable"
                     " push consumer for each client, explicit acknowledgement,"
                     f" `ack_wait` {_ACK_WAIT_S} s, `max_ack_pending` 64")
    quiet_s = _ACK_WAIT_S + 3.0

    def storage(self, folder: Path) -> str:
        return f'jetstream {{ store_dir: "{folder}/jetstream" }}\n'

    def start(self) -> None:
        super().start()
        asyncio.run(self._stream())

    async def _stream(self) -> None:
        """The stream is made once; asking again changes nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        config = {"name": _STREAM, "subjects": ["to.*"], "storage": "file", "retention": "limits",
                  "max_consumers": 20000}
        subject = f"$JS.API.STREAM.CREATE.{_STREAM}"
        writer.write(hello() + nats.subscribe("made", 1) + nats.publish(subject, json.dumps(config).encode(), "made"))
        said = await asyncio.wait_for(_answer(reader), 10)
        writer.close()
        if re.search(rb'"error"', said):
            raise RuntimeError(said.decode())


async def _answer(reader: asyncio.StreamReader) -> bytes:
    stream = nats.Stream()
    while data := await reader.read(65536):
        for said in stream.feed(data):
            if isinstance(said, nats.Message):
                return said.payload
    return b'{"error":"the connection ended"}'
