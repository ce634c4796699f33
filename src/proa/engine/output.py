"""The output of a process in a container, for a program that takes it piece by piece."""

from __future__ import annotations

import posix

from proa.lean.channel import checked
from proa.monitor.frames import HEADER

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Generator, Iterator

    from proa.lean.channel import Channel

    Piece = bytes | tuple[bytes | None, bytes | None]

_CHUNK = 1 << 16
_STDERR = 2


class Output:
    """Pieces as they come, until the process has ended; an iterator, to be closed early or not.

    `stream`: the byte stream from the monitor, framed unless there is a terminal. With `demux`
    each piece is a pair of stdout and stderr, of which one is None. `channel` brings the end,
    where there is one; an error that it brings is raised.
    """

    def __init__(
        self, stream: _socket.socket, channel: Channel, *, tty: bool, demux: bool = False
    ) -> None:
        self._stream = stream
        self._channel = channel
        self._tty = tty
        self._demux = demux
        self._pieces = self._read()

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        return next(self._pieces)

    def feed(self, data: bytes) -> None:
        """Give the process its input, and the end of it, while its output is read."""
        import socket
        import threading

        sink = socket.socket(fileno=posix.dup(self._stream.fileno()))

        def write() -> None:
            with sink:
                try:
                    sink.sendall(data)
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    return  # it takes no more

        threading.Thread(target=write, daemon=True).start()

    def close(self) -> None:
        """Hang up; the process goes on."""
        self._pieces.close()
        self._stream.close()
        self._channel.close()

    def __del__(self) -> None:
        self.close()

    def _read(self) -> Generator[Piece]:
        stream = self._stream.fileno()
        posix.set_blocking(stream, True)
        received = b""
        while data := _some(stream):
            if self._tty:
                yield (data, None) if self._demux else data
                continue
            received += data
            while len(received) >= HEADER.size:
                kind, length = HEADER.unpack_from(received)
                end = HEADER.size + length
                if len(received) < end:
                    break
                piece = received[HEADER.size : end]
                received = received[end:]
                if not self._demux:
                    yield piece
                elif kind == _STDERR:
                    yield None, piece
                else:
                    yield piece, None
        self._stream.close()
        answer = self._channel.receive()
        self._channel.close()
        if answer is not None:
            checked(answer[0])


def join(pieces: Iterator[Piece], *, demux: bool) -> Piece:
    """All pieces in one."""
    if not demux:
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))
    out, err = bytearray(), bytearray()
    for piece in pieces:
        assert isinstance(piece, tuple)
        out += piece[0] or b""
        err += piece[1] or b""
    return bytes(out) or None, bytes(err) or None


def _some(stream: int) -> bytes:
    try:
        return posix.read(stream, _CHUNK)
    except ConnectionError:
        return b""
