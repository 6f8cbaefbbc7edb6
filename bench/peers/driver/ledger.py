"""What was sent, what was answered, what came: by number, so that nothing is guessed."""

import base64
import re
import zlib

PAYLOAD_BYTES = 128

_MARK = re.compile(rb"!(\d{3})\.(\d{8})!")


def payload(run: int, number: int) -> str:
    """128 bytes that say which run and which number they are; the same for every peer."""
    return f"!{run:03d}.{number:08d}!".ljust(PAYLOAD_BYTES, "x")


def marks(data: bytes) -> list[tuple[int, int]]:
    """The runs and numbers of all payloads in `data`."""
    return [(int(run), int(number)) for run, number in _MARK.findall(data)]


class Received:
    """What the clients of one process were given in one run. Number n is for client n modulo the clients of the run."""

    def __init__(self, run: int, total: int, clients: int) -> None:
        self.run, self.clients = run, clients
        self.counts = bytearray(total)
        self.first = 0
        self.again = 0
        self.misdirected = 0

    def take(self, client: int, run: int, number: int) -> None:
        """Notes a payload; one of another run is not looked at."""
        if run != self.run:
            return
        if number % self.clients != client or number >= len(self.counts):
            self.misdirected += 1
            return
        seen = self.counts[number]
        if seen:
            self.again += 1
            self.counts[number] = min(seen + 1, 255)
            return
        self.counts[number] = 1
        self.first += 1


def pack(counts: bytes | bytearray) -> str:
    """As one line of text."""
    return base64.b85encode(zlib.compress(bytes(counts), 1)).decode()


def unpack(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


def settle(accepted: bytes, received: list[bytes]) -> dict[str, int]:
    """Sets what the publisher was answered against what all clients together were given."""
    counts = [sum(column) for column in zip(*received, strict=True)]
    if len(counts) != len(accepted):
        raise ValueError("the two sides speak of different numbers")
    return {
        "accepted": sum(1 for yes in accepted if yes),
        "delivered": sum(1 for count in counts if count),
        "lost": sum(1 for yes, count in zip(accepted, counts) if yes and not count),
        "duplicates": sum(count - 1 for count in counts if count > 1),
        "unanswered_yet_delivered": sum(1 for yes, count in zip(accepted, counts) if count and not yes),
    }
