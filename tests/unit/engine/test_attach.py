from __future__ import annotations

import os
import threading

import pytest

from proa.engine.attach import Attachment, Detached, Ends, parse_detach_keys
from proa.errors import InvalidArgument
from proa.lean.channel import pair, stream_pair
from proa.monitor.frames import HEADER


def test_detach_keys() -> None:
    assert parse_detach_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_detach_keys("a,ctrl-[,b") == b"a\x1bb"
    assert parse_detach_keys("") == b""


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-pp", "ctrl-1", "abc", "ctrl-p,"])
def test_bad_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_detach_keys(text)


class Client:
    """An attachment whose other ends the test holds."""

    def __init__(self, *, tty: bool) -> None:
        self.stream, theirs = stream_pair()
        self.channel, other = pair()
        stdin, self.stdin = os.pipe()
        self.stdout, stdout = os.pipe()
        self.stderr, stderr = os.pipe()
        self.given = (stdin, stdout, stderr)
        self.attachment = Attachment(Ends(stdin, stdout, stderr), theirs, other, tty=tty)

    def close(self) -> None:
        self.stream.close()
        self.channel.close()
        for descriptor in (self.stdin, self.stdout, self.stderr, *self.given):
            os.close(descriptor)


def test_output_is_parted_into_its_streams_whatever_the_pieces() -> None:
    client = Client(tty=False)
    data = HEADER.pack(1, 5) + b"to me" + HEADER.pack(2, 3) + b"bad" + HEADER.pack(1, 1) + b"!"

    def monitor() -> None:
        for value in data:
            client.stream.send(bytes((value,)))
        client.stream.close()
        client.channel.send({"exited": 3})

    thread = threading.Thread(target=monitor)
    thread.start()
    code = client.attachment.run()
    thread.join()

    assert code == 3
    assert os.read(client.stdout, 100) == b"to me!"
    assert os.read(client.stderr, 100) == b"bad"
    client.close()


def test_the_detach_keys_leave_and_other_keys_pass() -> None:
    client = Client(tty=True)
    os.write(client.stdin, b"ls\x10x\x10\x10\x11rest")

    with pytest.raises(Detached):
        client.attachment.run()

    client.close()
