"""The client protocol of NATS: lines, and messages with a length."""

from dataclasses import dataclass


@dataclass(slots=True)
class Message:
    """Something for a subscription; `reply` is empty when nobody waits for an answer."""

    subject: bytes
    reply: bytes
    payload: bytes


def publish(subject: str, payload: bytes, reply: str = "") -> bytes:
    target = f"{subject} {reply}" if reply else subject
    return b"PUB %b %d\r\n%b\r\n" % (target.encode(), len(payload), payload)


def subscribe(subject: str, number: int) -> bytes:
    return f"SUB {subject} {number}\r\n".encode()


class Stream:
    """Takes bytes as they come and gives messages and, as bytes, the first words of other lines."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message | bytes]:
        data = self._rest + data if self._rest else data
        said: list[Message | bytes] = []
        at = 0
        while (line := data.find(b"\r\n", at)) >= 0:
            words = data[at:line].split(b" ")
            start = line + 2
            if words[0] not in (b"MSG", b"HMSG"):
                said.append(data[at:line] if words[0] == b"-ERR" else words[0])
                at = start
                continue
            end = start + int(words[-1])
            if len(data) < end + 2:
                break
            lengths = 1 if words[0] == b"MSG" else 2
            skip = 0 if lengths == 1 else int(words[-2])
            reply = words[3] if len(words) == 4 + lengths else b""
            said.append(Message(words[1], reply, data[start + skip : end]))
            at = end + 2
        self._rest = data[at:]
        return said
