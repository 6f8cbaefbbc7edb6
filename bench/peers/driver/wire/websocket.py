"""RFC 6455, the client's half: the handshake, frames out with a mask, frames in without."""

import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

# A real client draws a new one for each frame. The work of the server is the same: it undoes a mask.
_MASK = b"\x5a\x13\xc7\x2e"


def handshake(host: str, path: str, headers: dict[str, str]) -> bytes:
    """The request that asks for a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def frame(kind: int, payload: bytes) -> bytes:
    """One masked frame with the whole message."""
    length = len(payload)
    if length < 126:
        head = bytes((0x80 | kind, 0x80 | length))
    elif length < 65536:
        head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, length)
    mask = int.from_bytes((_MASK * (length // 4 + 1))[:length], "little")
    return head + _MASK + (int.from_bytes(payload, "little") ^ mask).to_bytes(length, "little")


class Broken(Exception):
    """The other side said something that this protocol does not have."""


class Frames:
    """Takes bytes as they come and gives whole messages; fragments are joined, control frames stand alone."""

    __slots__ = ("_rest", "_kind", "_parts")

    def __init__(self) -> None:
        self._rest = b""
        self._kind = 0
        self._parts: list[bytes] | None = None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        if self._rest:
            data = self._rest + data
        messages: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= 2:
            first, length = data[at], data[at + 1]
            if length & 0x80:
                raise Broken("a server's frame has a mask")
            start = at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[at + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(data[at + 2 : start], "big")
            if end < start or end < start + length:
                break
            at = start + length
            self._take(first, data[start:at], messages)
        self._rest = data[at:]
        return messages

    def _take(self, first: int, payload: bytes, messages: list[tuple[int, bytes]]) -> None:
        kind, final = first & 0x0F, first & 0x80
        if kind >= 8 or (kind and final):
            messages.append((kind, payload))
        elif kind:
            self._kind, self._parts = kind, [payload]
        elif self._parts is None:
            raise Broken("a fragment of nothing")
        else:
            self._parts.append(payload)
            if final:
                messages.append((self._kind, b"".join(self._parts)))
                self._parts = None
