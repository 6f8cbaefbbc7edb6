"""A process that holds many clients of one peer and notes what each is given."""

import asyncio
import random
import time
from typing import Any

from . import commands, ledger, registry
from .connection import Connection

# How long a client waits until it connects again, drawn anew each time; the same for every peer.
_AGAIN_S = (0.1, 0.5)

# With eight at a time, no more than 800 clients a second come from one process: below what servers refuse as a storm.
_BREATH_S = 0.01


class Holder:
    """All clients of this process."""

    def __init__(self) -> None:
        self.received = ledger.Received(0, 0, 1)
        self.complaints: list[str] = []
        self._open: dict[int, Connection] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._settings: dict[str, Any] = {}
        self._kind: type[Connection] | None = None
        self._returning = False
        self._dropped = 0

    async def serve(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "open":
                self._kind, self._settings = registry.client(command["peer"]), command["settings"]
                return await self._connect(command["numbers"], command["at_a_time"])
            case "run":
                self.received = ledger.Received(command["run"], command["total"], command["clients"])
                return {}
            case "returning":
                self._returning = command["on"]
                return {}
            case "state":
                return self._state()
            case "counts":
                found = self.received
                return {"counts": ledger.pack(found.counts), "misdirected": found.misdirected}
        raise commands.Failed(f"no command {command['do']}")

    def _state(self) -> dict[str, Any]:
        up = sum(1 for client in self._open.values() if client.is_up)
        return {"up": up, "first": self.received.first, "again": self.received.again, "dropped": self._dropped,
                "complaints": self.complaints[:3]}

    async def _connect(self, numbers: list[int], at_a_time: int) -> dict[str, Any]:
        turn = asyncio.Semaphore(at_a_time)

        async def one(number: int) -> None:
            async with turn:
                await self._up(number, None)
                await asyncio.sleep(_BREATH_S)

        began = time.monotonic()
        await asyncio.gather(*(one(number) for number in numbers))
        return {"took": time.monotonic() - began}

    async def _up(self, number: int, resume: Any) -> None:
        """Connects a client and waits until it is up; raises when it does not come up."""
        loop = asyncio.get_running_loop()
        assert self._kind is not None
        client = self._kind(self, number, self._settings, resume)
        self._open[number] = client
        up = self._waiting[number] = loop.create_future()
        try:
            async with asyncio.timeout(30):
                await loop.create_connection(lambda: client, "127.0.0.1", self._settings["port"])
                await up
        except TimeoutError as error:
            raise commands.Failed(f"client {number} is not up after 30 s; {self.complaints[:3]}") from error
        finally:
            self._waiting.pop(number, None)

    def came_up(self, client: Connection) -> None:
        up = self._waiting.get(client.number)
        if up is not None and not up.done():
            up.set_result(None)

    def lost(self, client: Connection) -> None:
        up = self._waiting.get(client.number)
        if up is not None and not up.done():
            up.set_exception(commands.Failed(f"client {client.number} was refused; {self.complaints[:3]}"))
            return
        if self._open.get(client.number) is not client:
            return
        client.is_up = False
        self._dropped += 1
        if self._returning:
            task = asyncio.get_running_loop().create_task(self._come_back(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _come_back(self, client: Connection) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_AGAIN_S))
            try:
                await self._up(client.number, client.resume)
            except (commands.Failed, OSError):
                # It may have learnt where it stands before it was cut off again.
                client = self._open[client.number]
                continue
            return


if __name__ == "__main__":
    commands.serve(lambda: Holder().serve)
