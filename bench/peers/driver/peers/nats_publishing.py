"""NATS: how one publishes to it."""

import asyncio
import json
from collections import deque
from typing import Any, cast

from ..ledger import payload
from ..publisher import Book, Publisher
from ..wire import nats

TOKEN = "a-token-of-measurements"

# Publications that may wait for an answer, as NATS' own clients have a limit; more are refused by the publisher.
_OPEN = 1000


def hello() -> bytes:
    """What a connection begins with."""
    options = {"verbose": False, "pedantic": False, "lang": "python", "version": "0", "protocol": 1, "headers": True,
               "no_responders": True, "auth_token": TOKEN}
    return b"CONNECT " + json.dumps(options).encode() + b"\r\n"


class _Line(asyncio.Protocol):
    """The publisher's one connection."""

    def __init__(self, owner: "CorePublisher") -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self._stream = nats.Stream()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(hello() + nats.subscribe("answer.*.*", 1))
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
            self._refuse(group, "no connection")
            return
        if self.open() > _OPEN:
            self._refuse(group, "too slow")
            return
        self.line.transport.write(b"".join(self.encoded(number) for number in group) + self.flush(group))

    def _refuse(self, group: list[int], why: str) -> None:
        for number in group:
            self.book.refuse(number, why)

    def open(self) -> int:
        """How many wait for their answer."""
        return sum(len(group) for _, group in self._flushes)

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

    def open(self) -> int:
        return len(self._open)

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
