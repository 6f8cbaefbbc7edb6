"""NATS: the core, which keeps nothing, and JetStream, which does."""

import asyncio
import json
import re
import subprocess
from collections import deque
from pathlib import Path
from typing import Any, cast

from ..connection import WebSocketClient
from ..ledger import payload
from ..peer import Peer
from ..publisher import Book, Publisher
from ..servers import free_port, listens
from ..wire import nats, websocket

_TOKEN = "a-token-of-measurements"
_STREAM = "notifications"
_ACK_WAIT_S = 10


def _connect() -> bytes:
    options = {"verbose": False, "pedantic": False, "lang": "python", "version": "0", "protocol": 1, "headers": True,
               "no_responders": True, "auth_token": _TOKEN}
    return b"CONNECT " + json.dumps(options).encode() + b"\r\n"


class Client(WebSocketClient):
    """Subscribes to its own subject."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stream = nats.Stream()

    def opening(self) -> bytes:
        return websocket.handshake("127.0.0.1", "/", {})

    def opened(self) -> None:
        self.say(_connect() + nats.subscribe(f"to.{self.number}", 1) + b"PING\r\n")

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
        self.say(_connect() + nats.subscribe(f"deliver.{self.number}", 1) + nats.subscribe(self._inbox, 2)
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


class _Line(asyncio.Protocol):
    """The publisher's one connection."""

    def __init__(self, owner: "CorePublisher") -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self._stream = nats.Stream()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_connect() + nats.subscribe("answer.*.*", 1))
        self.owner.line = self

    def data_received(self, data: bytes) -> None:
        for said in self._stream.feed(data):
            if isinstance(said, nats.Message):
                self.owner.answered(said)
            elif said == b"PONG":
                self.owner.ponged()
            elif said == b"PING" and self.transport is not None:
                self.transport.write(b"PONG\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.broken()


class CorePublisher(Publisher):
    """NATS answers no message. What was written before a PING is taken as accepted when its PONG comes."""

    line: _Line | None = None

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._flushes: deque[tuple[Book, list[int]]] = deque()
        self._again_task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(
            lambda: _Line(self), "127.0.0.1", self.settings["api_port"])

    def encoded(self, number: int) -> bytes:
        return nats.publish(f"to.{self.book.target(number)}", payload(self.book.run, number).encode())

    def publish(self, group: list[int]) -> None:
        if self.line is None or self.line.transport is None:
            for number in group:
                self.book.refuse(number, "no connection")
            return
        self.line.transport.write(b"".join(self.encoded(number) for number in group) + self.flush(group))

    def flush(self, group: list[int]) -> bytes:
        self._flushes.append((self.book, group))
        return b"PING\r\n"

    def ponged(self) -> None:
        book, group = self._flushes.popleft()
        for number in group:
            book.accept(number)

    def answered(self, message: nats.Message) -> None:
        """Nobody answers."""

    def broken(self) -> None:
        self.line = None
        self._flushes.clear()
        self._again_task = asyncio.get_running_loop().create_task(self._again())

    async def _again(self) -> None:
        while self.line is None:
            await asyncio.sleep(0.05)
            try:
                await self.connect()
            except OSError:
                continue

    def waiting(self) -> bool:
        return bool(self._flushes)


class StreamPublisher(CorePublisher):
    """Every message is answered by the stream that keeps it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._open: set[int] = set()

    def encoded(self, number: int) -> bytes:
        self._open.add(number)
        content = payload(self.book.run, number).encode()
        return nats.publish(f"to.{self.book.target(number)}", content, f"answer.{self.book.run}.{number}")

    def flush(self, group: list[int]) -> bytes:
        return b""

    def answered(self, message: nats.Message) -> None:
        run, number = map(int, message.subject.split(b".")[1:])
        if run != self.book.run or number not in self._open:
            return
        self._open.discard(number)
        answer = json.loads(message.payload) if message.payload else {"error": "no JetStream"}
        if "error" in answer:
            self.book.refuse(number, str(answer["error"]))
        else:
            self.book.accept(number)

    def broken(self) -> None:
        self._open.clear()
        super().broken()

    def waiting(self) -> bool:
        return bool(self._open)


class Core(Peer):
    row = "NATS core, WebSocket"
    protocol = "nats"
    work = "keeps nothing, no answer to a publication, no acknowledgement by the client"
    settings_text = "defaults; one token for all; WebSocket without TLS and compression; published over TCP"

    def version(self) -> str:
        done = subprocess.run([self.places.program("nats-server"), "--version"], capture_output=True, text=True,
                              check=True)
        return done.stdout.strip()

    def configure(self, folder: Path) -> None:
        self._port, self._web = free_port(), free_port()
        self._file = folder / "nats.conf"
        self._file.write_text(
            f'listen: "127.0.0.1:{self._port}"\nauthorization {{ token: "{_TOKEN}" }}\n'
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
    settings_text = ("one file stream, limits retention, `max_consumers` 20000, `sync_interval` default (2 min); a durable push consumer for"
                     f" each client, explicit acknowledgement, `ack_wait` {_ACK_WAIT_S} s, `max_ack_pending` 64")
    quiet_s = _ACK_WAIT_S + 3.0

    def storage(self, folder: Path) -> str:
        return f'jetstream {{ store_dir: "{folder}/jetstream" }}\n'

    def start(self) -> None:
        super().start()
        asyncio.run(self._stream())

    async def _stream(self) -> None:
        """The stream is made once; asking again changes nothing."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        config = {"name": _STREAM, "subjects": ["to.*"], "storage": "file", "retention": "limits", "max_consumers": 20000}
        subject = f"$JS.API.STREAM.CREATE.{_STREAM}"
        writer.write(_connect() + nats.subscribe("made", 1) + nats.publish(subject, json.dumps(config).encode(), "made"))
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
