"""The driver's own halves of the protocols, cut at every byte."""

from collections.abc import Callable, Iterator

import pytest

from driver.wire import http, nats, sse, websocket


def _pieces(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes in one piece, in two at every cut, and byte by byte."""
    yield [data]
    for cut in range(1, len(data)):
        yield [data[:cut], data[cut:]]
    yield [data[at : at + 1] for at in range(len(data))]


def _same_however_cut(make: Callable[[], Callable[[bytes], list]], data: bytes, expected: list) -> None:
    for pieces in _pieces(data):
        feed, found = make(), []
        for piece in pieces:
            found += feed(piece)
        assert found == expected, pieces


def _server_frame(first: int, payload: bytes) -> bytes:
    head = bytes((first, len(payload))) if len(payload) < 126 else bytes((first, 126)) + len(payload).to_bytes(2, "big")
    return head + payload


def test_frames_come_whole_however_they_are_cut() -> None:
    long = b"y" * 200
    data = _server_frame(0x81, b"one") + _server_frame(0x89, b"") + _server_frame(0x82, long)
    expected = [(websocket.TEXT, b"one"), (websocket.PING, b""), (websocket.BINARY, long)]
    _same_however_cut(lambda: websocket.Frames().feed, data, expected)


def test_fragments_are_joined_around_a_ping() -> None:
    data = _server_frame(0x01, b"a") + _server_frame(0x89, b"?") + _server_frame(0x00, b"b") + _server_frame(0x80, b"c")
    _same_however_cut(lambda: websocket.Frames().feed, data, [(websocket.PING, b"?"), (websocket.TEXT, b"abc")])


@pytest.mark.parametrize("broken", [b"\x81\x80....", b"\x80\x00"], ids=["masked", "fragment of nothing"])
def test_what_is_no_server_frame_is_refused(broken: bytes) -> None:
    with pytest.raises(websocket.Broken):
        websocket.Frames().feed(broken)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 70000])
def test_a_masked_frame_is_the_payload_again(length: int) -> None:
    payload = bytes(index % 251 for index in range(length))
    sent = websocket.frame(websocket.TEXT, payload)
    assert sent[1] & 0x80
    start = {126: 4, 127: 10}.get(sent[1] & 0x7F, 2)
    mask, body = sent[start : start + 4], sent[start + 4 :]
    assert bytes(byte ^ mask[at % 4] for at, byte in enumerate(body)) == payload


def test_answers_by_length_and_in_chunks() -> None:
    data = (b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
            b"HTTP/1.1 204 No Content\r\n\r\n")
    _same_however_cut(lambda: http.Answers().feed, data, [(202, b"{}"), (200, b"abcd"), (204, b"")])


def test_a_request_says_how_long_it_is() -> None:
    assert http.request("POST", "/x", "h", {"A": "b"}, b"12") == (
        b"POST /x HTTP/1.1\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\n12")


def test_events_with_comments_between() -> None:
    data = b":\n\nid: 7\ndata: a\ndata: b\n\n: beat\n\nevent: x\ndata:c\n\n"
    _same_however_cut(lambda: sse.Events().feed, data, [(b"7", b"a\nb"), (b"", b"c")])


def test_messages_with_and_without_reply_and_headers() -> None:
    data = b"INFO {}\r\nMSG a 1 5\r\nh\r\nlo\r\nMSG a 1 r 0\r\n\r\nPING\r\nHMSG a 1 r 4 6\r\nHEADhi\r\n-ERR 'no'\r\n"
    expected = [b"INFO", nats.Message(b"a", b"", b"h\r\nlo"), nats.Message(b"a", b"r", b""), b"PING",
                nats.Message(b"a", b"r", b"hi"), b"-ERR 'no'"]
    _same_however_cut(lambda: nats.Stream().feed, data, expected)
