"""Starts the programs that are measured, and ends each by its id."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import accounting
from .commands import Failed


def free_port() -> int:
    """A port of this machine that nobody listens on, below those that the kernel gives to clients: while a server is
    away, a client that calls it can then not be given the server's own port."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Servers:
    """The processes of one peer. Those of `engines` are what it stands on: their CPU is told apart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engines: dict[str, int] = {}
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], ready: Callable[[], bool], within: float = 60.0,
              environment: dict[str, str] | None = None) -> None:
        """Starts a program and waits until `ready`; its output is in `NAME.log` of the folder."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as out:
            self._started[name] = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self.folder,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )
        deadline = time.monotonic() + within
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-1500:]
                raise Failed(f"{name} did not start: {tail}")
            time.sleep(0.02)

    def processes(self) -> dict[str, int]:
        """The peer's own processes by name, with those that they started; several of a name are numbered."""
        found: dict[str, int] = {}
        for name, process in self._started.items():
            found[name] = process.pid
            for child in accounting.children(process.pid):
                title = accounting.name(child)
                found[title if title not in found else f"{title} {child}"] = child
        return found

    def kill(self) -> None:
        """kill -9, all at once, no warning."""
        for pid in self.processes().values():
            os.kill(pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """Asks, waits, then kills what is left."""
        everyone = [pid for process in self._started.values() if process.poll() is None
                    for pid in (process.pid, *accounting.children(process.pid))]
        for process in self._started.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and any(process.poll() is None for process in self._started.values()):
            time.sleep(0.05)
        for pid in everyone:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._reap()

    def _reap(self) -> None:
        for process in self._started.values():
            process.wait()
        self._started.clear()
