from __future__ import annotations

import os
from pathlib import Path

import pytest

from proa.errors import Unavailable
from proa.lean.channel import accept, connect, listen, pair


def test_messages_keep_apart_and_in_order() -> None:
    one, other = pair()
    one.send({"number": 1})
    one.send({"number": 2, "text": "é"})

    assert other.receive() == ({"number": 1}, [])
    assert other.receive() == ({"number": 2, "text": "é"}, [])
    one.close()
    assert other.receive() is None
    other.close()


def test_descriptors_ride_along() -> None:
    one, other = pair()
    reader, writer = os.pipe()
    one.send({"op": "take"}, [writer])
    os.close(writer)
    message, (received,) = other.receive() or ({}, [])

    os.write(received, b"through")
    os.close(received)

    assert message == {"op": "take"}
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    one.close()
    other.close()


def test_a_message_of_megabytes_arrives_whole() -> None:
    one, other = pair()
    text = "x" * 5_000_000
    one.send({"text": text})

    received = other.receive()

    assert received is not None
    assert received[0]["text"] == text
    one.close()
    other.close()


def test_nobody_there_is_an_error_of_its_kind(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        connect(str(tmp_path), "monitor.sock")
    one, other = pair()
    other.close()
    with pytest.raises(Unavailable):
        one.send({})
    one.close()


def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    listener = listen(str(deep), "monitor.sock")
    client = connect(str(deep), "monitor.sock")
    server = accept(listener)
    client.send({"hello": True})

    assert server.receive() == ({"hello": True}, [])
    assert (deep / "monitor.sock").stat().st_mode & 0o777 == 0o600
    for item in (listener, client, server):
        item.close()


def test_the_last_words_of_one_that_did_not_listen_arrive() -> None:
    one, other = pair()
    one.send({"answer": "that nobody reads"})
    other.send({"error": "first"})
    other.send({"error": "second"})
    other.close()

    assert one.receive() == ({"error": "first"}, [])
    assert one.receive() == ({"error": "second"}, [])
    assert one.receive() is None
    one.close()
