"""How the processes of the measurement speak with each other: one JSON object a line, on standard input and output."""

import asyncio
import gc
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Serve = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Failed(Exception):
    """A part of the measurement could not do what it was asked; the text says why."""


class Helper:
    """A process of this program that was started to do one thing."""

    def __init__(self, module: str) -> None:
        self.module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"driver.{module}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._rest = b""

    def send(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        handle, deadline = self._process.stdout.fileno(), time.monotonic() + within
        while b"\n" not in self._rest:
            if not select.select([handle], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Failed(f"{self.module} did not answer within {within:.0f} s")
            data = os.read(handle, 1 << 20)
            if not data:
                raise Failed(f"{self.module} ended")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise Failed(f"{self.module}: {answer['failed']}")
        return answer

    def ask(self, within: float = 60.0, **command: Any) -> dict[str, Any]:
        self.send(**command)
        return self.answer(within)

    def end(self) -> None:
        """Ends it by its id."""
        self._process.kill()
        self._process.wait()


async def _read(serve: Serve) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = await serve(json.loads(line))
        except (Failed, OSError, ValueError, KeyError) as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def serve(make: Callable[[], Serve]) -> None:
    """Answers commands until standard input ends. Runs on uvloop where that is installed."""
    gc.disable()
    try:
        import uvloop
    except ImportError:
        factory = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop

    async def main() -> None:
        await _read(make())

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
