"""What a peer has to tell about itself so that it can be measured."""

import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .commands import Failed
from .servers import Servers

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Places:
    """Where programs are."""

    peers: Path
    postrider: Path
    engines: Path | None = None

    def program(self, name: str) -> str:
        """A peer's program: of `install`, or one that is installed on this machine."""
        own = self.peers / "bin" / name
        found = str(own) if own.is_file() else shutil.which(name)
        if found is None:
            raise Failed(f"{name} is not installed: bench/peers/install says why")
        return found

    def built_of(self, name: str, module: str) -> str:
        """The version of a module that a Go program was built of."""
        said = subprocess.run(["go", "version", "-m", self.program(name)], capture_output=True, text=True, check=False)
        for line in said.stdout.splitlines():
            words = line.split()
            if len(words) > 2 and words[1] == module:
                return f"{name} {words[2]}"
        return f"{name}, version unknown"


@dataclass
class Peer(ABC):
    """A server, in one of the ways that it can be set up."""

    places: Places
    servers: Servers = field(init=False)

    # The row's name; the name under which its client and publisher are found.
    row = ""
    protocol = ""
    # What it does for a delivery, in the table's words.
    work = ""
    settings_text = ""
    # How many numbers one request may carry where the peer takes several; 0 where it does not.
    batch = 100
    # Whether only its memory is of interest: a row of the same peer measures the rest.
    memory_only = False
    # How long to wait for what is owed after a restart, without anything coming.
    quiet_s = 4.0

    @abstractmethod
    def version(self) -> str:
        """As the program itself says."""

    def prepare(self, folder: Path) -> None:
        """Chooses ports and writes settings, once for each measurement; nothing of another one is left."""
        self.servers = Servers(folder)
        self.configure(folder)

    @abstractmethod
    def configure(self, folder: Path) -> None:
        """Chooses ports and writes settings."""

    @abstractmethod
    def start(self) -> None:
        """Starts it, or starts it again with what it left behind, and returns when it serves."""

    @abstractmethod
    def client_settings(self) -> dict[str, Any]:
        """What its clients need; `port` is among them."""

    @abstractmethod
    def publisher_settings(self) -> dict[str, Any]:
        """What its publisher needs."""

    def kill(self) -> None:
        self.servers.kill()

    def stop(self) -> None:
        self.servers.stop()

    def close(self) -> None:
        """Nothing of it will be asked for again."""
