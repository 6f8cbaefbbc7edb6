"""A process that publishes at a steady pace, whatever the answers do, and notes what each number was answered."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, cast

from . import commands, ledger, registry
from .wire import http

ACCEPTED, REFUSED = 1, 2
_AGAIN_S = 0.05
_ANSWER_S = 10.0


class Book:
    """The numbers of a run: which are open, and what the others were answered."""

    def __init__(self, run: int, total: int, clients: int) -> None:
        self.run, self.clients = run, clients
        self.answers = bytearray(total)
        self.why: str | None = None

    def target(self, number: int) -> int:
        return number % self.clients

    def accept(self, number: int) -> None:
        self.answers[number] = ACCEPTED

    def refuse(self, number: int, why: str) -> None:
        self.answers[number] = REFUSED
        self.why = self.why or why[:300]


class Publisher(ABC):
    """A peer's publisher: takes groups of numbers as they fall due."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.book = Book(0, 0, 1)

    @abstractmethod
    async def connect(self) -> None:
        """Opens what it publishes through."""

    @abstractmethod
    def publish(self, group: list[int]) -> None:
        """Publishes these numbers now, in one request where there is more than one."""

    @abstractmethod
    def waiting(self) -> bool:
        """Whether an answer is still to come."""

    def give_up(self) -> None:
        """Refuses what was due and is not on its way yet: the server is too slow for the pace."""


# Numbers of one request, with the book of their run: an answer may come when the next run has begun.
_Asked = tuple[Book, list[int]]


class _Lane(asyncio.Protocol):
    """A connection that is kept, with at most one request under way."""

    def __init__(self, owner: "HttpPublisher") -> None:
        self.owner = owner
        self.transport: asyncio.Transport | None = None
        self.asked: _Asked | None = None
        self._answers = http.Answers()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.owner.idle.append(self)
        self.owner.pump()

    def data_received(self, data: bytes) -> None:
        for status, body in self._answers.feed(data):
            asked, self.asked = self.asked, None
            if asked is not None:
                self.owner.answered(asked, status, body)
            if self._answers.last and self.transport is not None:
                self.transport.close()
            else:
                self.owner.idle.append(self)
        self.owner.pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self in self.owner.idle:
            self.owner.idle.remove(self)
        self.owner.broken(self)


class HttpPublisher(Publisher):
    """Publishes through an HTTP API, over several connections that are kept."""

    # So many that a server which keeps a publication before it answers is not held to the pace of its answers.
    lanes = 64

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self.idle: list[_Lane] = []
        self._all: set[_Lane] = set()
        self._due: deque[_Asked] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._away = False

    def single(self, number: int) -> bytes:
        """The request that publishes one number."""
        raise NotImplementedError

    def several(self, group: list[int]) -> bytes:
        """The request that publishes several; for peers that have one."""
        raise NotImplementedError

    def verdicts(self, group: list[int], status: int, body: bytes) -> list[bool]:
        """What an answer says of each number of its request."""
        return [200 <= status < 300] * len(group)

    async def connect(self) -> None:
        for _ in range(self.lanes):
            await self._open()

    async def _open(self) -> None:
        lane = _Lane(self)
        await asyncio.get_running_loop().create_connection(lambda: lane, "127.0.0.1", self.settings["api_port"])
        self._all.add(lane)

    def publish(self, group: list[int]) -> None:
        self._due.append((self.book, group))
        self.pump()
        self._refuse_if_away()

    def pump(self) -> None:
        while self._due and self.idle:
            lane, asked = self.idle.pop(), self._due.popleft()
            lane.asked, group = asked, asked[1]
            assert lane.transport is not None
            lane.transport.write(self.single(group[0]) if len(group) == 1 else self.several(group))

    def answered(self, asked: _Asked, status: int, body: bytes) -> None:
        book, group = asked
        for number, good in zip(group, self.verdicts(group, status, body), strict=True):
            if good:
                book.accept(number)
            else:
                book.refuse(number, f"{status} {body[:250]!r}")

    def broken(self, lane: _Lane) -> None:
        """What was under way on it stays unanswered. Some servers end a connection after each answer."""
        self._all.discard(lane)
        task = asyncio.get_running_loop().create_task(self._again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self) -> None:
        while True:
            try:
                await self._open()
            except OSError:
                self._away = True
                self._refuse_if_away()
                await asyncio.sleep(_AGAIN_S)
                continue
            self._away = False
            return

    def _refuse_if_away(self) -> None:
        """What waits is refused while nobody listens."""
        if self._away and not self._all:
            self._refuse("no connection")

    def _refuse(self, why: str) -> None:
        while self._due:
            book, group = self._due.popleft()
            for number in group:
                book.refuse(number, why)

    def give_up(self) -> None:
        self._refuse("too slow")

    def waiting(self) -> bool:
        return bool(self._due) or any(lane.asked is not None for lane in self._all)


class Pace:
    """Groups of numbers at the times that they are due from the start on, late or not."""

    def __init__(self, rate: float, batch: int, total: int) -> None:
        self.rate, self.batch, self.total = rate, batch, total
        self._next = 0

    def due(self, elapsed: float) -> list[list[int]]:
        """The groups that became due since the last call; a group is due with its first number."""
        upto, groups = min(self.total, int(elapsed * self.rate) + 1), []
        while self._next < upto:
            end = min(self._next + self.batch, self.total)
            groups.append(list(range(self._next, end)))
            self._next = end
        return groups

    def over(self) -> bool:
        return self._next >= self.total


class Service:
    """Serves the commands of the measurement."""

    def __init__(self) -> None:
        self._publisher: Publisher | None = None

    async def serve(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "connect":
                self._publisher = registry.publisher(command["peer"])(command["settings"])
                await self._publisher.connect()
                return {}
            case "publish":
                return await self._publish(command)
        raise commands.Failed(f"no command {command['do']}")

    async def _publish(self, command: dict[str, Any]) -> dict[str, Any]:
        publisher, total = self._publisher, command["total"]
        assert publisher is not None
        book = publisher.book = Book(command["run"], total, command["clients"])
        pace = Pace(command["rate"], command["batch"], total)
        began = time.monotonic()
        while not pace.over():
            for group in pace.due(time.monotonic() - began):
                publisher.publish(group)
            await asyncio.sleep(0.001)
        took, deadline = time.monotonic() - began, time.monotonic() + _ANSWER_S
        publisher.give_up()
        while publisher.waiting() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        accepted = bytes(answer == ACCEPTED for answer in book.answers)
        return {"accepted": ledger.pack(accepted), "refused": book.answers.count(REFUSED),
                "unanswered": book.answers.count(0), "took": took, "why": book.why}


if __name__ == "__main__":
    commands.serve(lambda: Service().serve)
