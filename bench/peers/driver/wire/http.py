"""HTTP/1.1 on a connection that is kept: requests out; answers in, by length or in chunks."""

from dataclasses import dataclass


def request(method: str, path: str, host: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(slots=True)
class Head:
    """The first line and the headers of an answer, names in lower case."""

    status: int
    headers: dict[str, str]


def head(data: bytes) -> tuple[Head, int] | None:
    """The head that `data` begins with and where it ends; None while it is not whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    return Head(int(first.split(" ", 2)[1]), headers), end + 4


class Chunks:
    """Undoes `Transfer-Encoding: chunked`; `done` after the last chunk."""

    __slots__ = ("_rest", "done")

    def __init__(self) -> None:
        self._rest = b""
        self.done = False

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data if self._rest else data
        out: list[bytes] = []
        at = 0
        while not self.done:
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            length = int(data[at:line].split(b";")[0], 16)
            end = line + 2 + length + 2
            if len(data) < end:
                break
            out.append(data[line + 2 : end - 2])
            at, self.done = end, length == 0
        self._rest = data[at:]
        return b"".join(out)

    def left(self) -> bytes:
        """What came after the last chunk."""
        return self._rest


class Answers:
    """Takes bytes as they come and gives whole answers, one after the other.

    `last` once an answer said that the connection ends with it.
    """

    __slots__ = ("_rest", "last")

    def __init__(self) -> None:
        self._rest = b""
        self.last = False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self._rest += data
        answers: list[tuple[int, bytes]] = []
        while self._rest:
            found = head(self._rest)
            if found is None:
                break
            first, start = found
            if "chunked" in first.headers.get("transfer-encoding", "").lower():
                chunks = Chunks()
                body = chunks.feed(self._rest[start:])
                if not chunks.done:
                    break
                self._rest = chunks.left()
            else:
                end = start + int(first.headers.get("content-length", "0"))
                if len(self._rest) < end:
                    break
                body, self._rest = self._rest[start:end], self._rest[end:]
            self.last = self.last or first.headers.get("connection", "").lower() == "close"
            answers.append((first.status, body))
        return answers
