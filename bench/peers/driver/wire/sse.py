"""Server-sent events: text in, events out."""


class Events:
    """Takes text as it comes and gives whole events, each as (id, data); comments are dropped."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        data = self._rest + data if self._rest else data
        *blocks, self._rest = data.split(b"\n\n")
        return [event for event in map(_event, blocks) if event is not None]


def _event(block: bytes) -> tuple[bytes, bytes] | None:
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"id":
            name = value
        elif field == b"data":
            data.append(value)
    return (name, b"\n".join(data)) if data else None
