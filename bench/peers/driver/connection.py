"""A client's connection: what every peer's client has in common."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

from . import ledger
from .wire import http, sse, websocket

if TYPE_CHECKING:
    from .clients import Holder


class Connection(asyncio.Protocol):
    """One client. A peer's own client says how it opens and what it makes of what comes.

    `resume` is whatever this client has to remember between two connections in order to go on where it was.
    """

    def __init__(self, holder: "Holder", number: int, settings: dict[str, Any], resume: Any) -> None:
        self.holder, self.number, self.settings, self.resume = holder, number, settings, resume
        self.transport: asyncio.Transport | None = None
        self.is_up = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self.opening())

    def data_received(self, data: bytes) -> None:
        try:
            self.take(data)
        except (websocket.Broken, ValueError, KeyError) as error:
            self.fail(f"{type(error).__name__}: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.holder.lost(self)

    def opening(self) -> bytes:
        """What is written first."""
        raise NotImplementedError

    def take(self, data: bytes) -> None:
        """Makes sense of what was read."""
        raise NotImplementedError

    def up(self) -> None:
        """Whatever is published from now on must come."""
        if not self.is_up:
            self.is_up = True
            self.holder.came_up(self)

    def got(self, data: bytes) -> None:
        """Notes every payload in `data`."""
        for run, number in ledger.marks(data):
            self.holder.received.take(self.number, run, number)

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def fail(self, why: str) -> None:
        self.holder.complaints.append(f"client {self.number}: {why}")
        if self.transport is not None:
            self.transport.abort()


class WebSocketClient(Connection):
    """A client whose connection is a WebSocket."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._head: bytes | None = b""
        self._frames = websocket.Frames()

    def take(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            found = http.head(self._head)
            if found is None:
                return
            answer, end = found
            if answer.status != 101:
                self.fail(f"handshake: {answer.status} {self._head[end : end + 200]!r}")
                return
            data, self._head = self._head[end:], None
            self.opened()
        for kind, payload in self._frames.feed(data):
            if kind in (websocket.TEXT, websocket.BINARY):
                self.message(payload)
            elif kind == websocket.PING:
                self.write(websocket.frame(websocket.PONG, payload))
            elif kind == websocket.CLOSE:
                self.fail(f"closed by the server: {payload!r}")
                return
        self.read_all()

    def opened(self) -> None:
        """The handshake is through."""

    def message(self, payload: bytes) -> None:
        """A message came."""
        raise NotImplementedError

    def read_all(self) -> None:
        """All messages of this read were given to `message`."""


class EventClient(Connection):
    """A client whose connection is an answer that never ends, of server-sent events."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._head: bytes | None = b""
        self._chunks: http.Chunks | None = None
        self._events = sse.Events()

    def take(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            found = http.head(self._head)
            if found is None:
                return
            answer, end = found
            if answer.status != 200:
                self.fail(f"answer {answer.status} {self._head[end : end + 200]!r}")
                return
            data, self._head = self._head[end:], None
            if "chunked" in answer.headers.get("transfer-encoding", ""):
                self._chunks = http.Chunks()
            self.started(answer)
        text = self._chunks.feed(data) if self._chunks else data
        for name, content in self._events.feed(text):
            self.event(name, content)

    def started(self, answer: http.Head) -> None:
        """The head of the answer came."""
        raise NotImplementedError

    def event(self, name: bytes, content: bytes) -> None:
        """An event came."""
        raise NotImplementedError
