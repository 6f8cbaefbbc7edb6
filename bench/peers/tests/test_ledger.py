"""The ledger, the pace and what the publisher makes of answers and of connections that break."""

import asyncio

import pytest

from driver import ledger
from driver.publisher import Book, HttpPublisher, Pace
from driver.wire import http


def test_a_payload_is_as_long_as_said_and_is_found_again() -> None:
    text = ledger.payload(7, 1234567)
    assert len(text) == ledger.PAYLOAD_BYTES
    assert ledger.marks(f'{{"data":"{text}"}}\n{{"data":"{ledger.payload(8, 1)}"}}'.encode()) == [(7, 1234567), (8, 1)]


def test_what_comes_is_counted_once_twice_and_astray() -> None:
    received = ledger.Received(run=1, total=10, clients=2)
    for client, run, number in [(0, 1, 0), (0, 1, 4), (0, 1, 2), (0, 1, 4), (1, 1, 2), (0, 2, 0), (1, 1, 11)]:
        received.take(client, run, number)
    assert (received.first, received.again, received.misdirected) == (3, 1, 2)
    assert list(received.counts) == [1, 0, 1, 0, 2, 0, 0, 0, 0, 0]


def test_only_what_was_accepted_can_be_lost() -> None:
    accepted, one, other = bytes([1, 1, 1, 0, 0]), bytes([1, 0, 2, 0, 1]), bytes([0, 0, 1, 0, 0])
    assert ledger.settle(accepted, [one, other]) == {
        "accepted": 3, "delivered": 3, "lost": 1, "duplicates": 2, "unanswered_yet_delivered": 1}


def test_two_sides_that_speak_of_different_numbers_are_not_settled() -> None:
    with pytest.raises(ValueError):
        ledger.settle(b"\x01", [b"\x01\x01"])


def test_counts_survive_the_way_between_processes() -> None:
    counts = bytes(range(256)) * 10
    assert ledger.unpack(ledger.pack(counts)) == counts


def test_the_pace_is_kept_and_nothing_is_left_out() -> None:
    pace, found = Pace(rate=100, batch=3, total=10), []
    for elapsed in (0.0, 0.0, 0.025, 0.031, 5.0):
        found.append(pace.due(elapsed))
    assert found == [[[0, 1, 2]], [], [], [[3, 4, 5]], [[6, 7, 8], [9]]]
    assert pace.over()


class _Publisher(HttpPublisher):
    lanes = 1

    def single(self, number: int) -> bytes:
        return http.request("POST", f"/{number}", "h", {})


async def _published(answers: list[bytes]) -> tuple[list[int], bool]:
    """One server that gives each connection one of `answers` and ends it, then is away for good."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if len(answers) == 1:
            server.close()
        writer.write(answers.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    publisher = _Publisher({"api_port": server.sockets[0].getsockname()[1]})
    publisher.book = Book(1, 4, 1)
    await publisher.connect()
    for number in range(4):
        publisher.publish([number])
    while publisher.waiting():
        await asyncio.sleep(0)
    return list(publisher.book.answers), publisher.waiting()


def test_a_connection_that_ends_after_each_answer_is_opened_again_and_an_absent_server_refuses() -> None:
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    bad = good.replace(b"200", b"500")
    answers, waiting = asyncio.run(_published([good, bad, b""]))
    # Accepted; refused; cut off without an answer, which nobody can call accepted; never sent.
    assert (answers, waiting) == ([1, 2, 0, 2], False)
