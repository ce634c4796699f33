"""Messages between proa's processes: one JSON object each, with descriptors riding along.

They travel on SOCK_SEQPACKET sockets, which keep messages apart and tell the end of the peer.
`_socket` rather than `socket`: the Python around it costs 6 ms.
"""

from __future__ import annotations

import _socket
import posix
import select
import struct

from proa import errors
from proa.errors import ProaError, Unavailable
from proa.lean import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_INLINE = 32 * 1024
"""A packet must fit into the socket's send buffer (net.core.wmem_default, 208 KiB); what is
larger travels as a memfd."""
DESCRIPTORS = 64
_CLOEXEC = _socket.SOCK_CLOEXEC


def pair() -> tuple[Channel, Channel]:
    """Two channels that are connected to each other."""
    one, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _CLOEXEC)
    return Channel(one), Channel(other)


def stream_pair() -> tuple[_socket.socket, _socket.socket]:
    """Two connected byte streams, for standard input and output."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM | _CLOEXEC)


def connect(directory: str, name: str) -> Channel:
    """A channel to whoever listens on the socket `name` in `directory`.

    Raises Unavailable where nobody does.
    """
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _CLOEXEC)
    try:
        with Short(directory) as short:
            socket.connect(f"{short}/{name}")
    except OSError as error:
        socket.close()
        raise Unavailable(
            f"nobody listens at {directory}/{name} ({error.strerror}); try again"
        ) from error
    return Channel(socket)


def listen(directory: str, name: str) -> _socket.socket:
    """Listen on the socket `name` in `directory`; what was left there by a dead one goes."""
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _CLOEXEC)
    with Short(directory) as short:
        try:
            posix.unlink(f"{short}/{name}")
        except FileNotFoundError:
            pass
        mask = posix.umask(0o177)
        try:
            socket.bind(f"{short}/{name}")
        finally:
            posix.umask(mask)
    socket.listen(64)
    socket.setblocking(False)
    return socket


def accept(listener: _socket.socket) -> Channel:
    """The next one that connects to `listener`. Raises BlockingIOError where there is none."""
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]
    return Channel.of_descriptor(descriptor)


class Channel:
    """One end of a SOCK_SEQPACKET connection."""

    def __init__(self, socket: _socket.socket) -> None:
        self._socket = socket

    @classmethod
    def of_descriptor(cls, descriptor: int) -> Channel:
        """The channel whose socket is open as `descriptor`."""
        return cls(_socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fileno=descriptor))

    def fileno(self) -> int:
        """The descriptor, for poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send one message; the peer gets duplicates of `descriptors`, DESCRIPTORS at most.

        Raises Unavailable where the peer is gone.
        """
        self.send_bytes(json.dumps(message).encode(), descriptors)

    def send_bytes(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """As `send`, something that is no JSON; not empty, and not a NUL byte alone."""
        bulk = -1
        if len(data) > _INLINE:
            bulk = _in_memory(data)
            descriptors, data = (*descriptors, bulk), b""
        rights = [
            (
                _socket.SOL_SOCKET,
                _socket.SCM_RIGHTS,
                struct.pack(f"{len(descriptors)}i", *descriptors),
            )
        ]
        try:
            self._socket.sendmsg([data or b"\0"], rights if descriptors else [])
        except OSError as error:
            raise Unavailable(f"the other process is gone ({error.strerror})") from error
        finally:
            if bulk >= 0:
                posix.close(bulk)

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next message and its descriptors, or None at the end of the connection."""
        received = self.receive_bytes()
        if received is None:
            return None
        message = json.loads(received[0])
        if not isinstance(message, dict):
            raise Unavailable("the other process does not speak this protocol")
        return message, received[1]

    def receive_bytes(self) -> tuple[bytes, list[int]] | None:
        """As `receive`, what `send_bytes` has sent."""
        try:
            data, control = self._receive()
        except ConnectionError:
            try:
                # a peer that has died without reading all that it was sent: what it said before
                # comes after the kernel's word about that (unix_release_sock sets ECONNRESET)
                data, control = self._receive()
            except ConnectionError:
                return None
        descriptors: list[int] = []
        for level, kind, payload in control:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                descriptors.extend(struct.unpack(f"{len(payload) // 4}i", payload))
        if not data:
            return None
        if data == b"\0":
            data = _read_all(descriptors.pop())
        return data, descriptors

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        space = _socket.CMSG_SPACE(DESCRIPTORS * 4)
        return self._socket.recvmsg(_INLINE, space, _socket.MSG_CMSG_CLOEXEC)[:2]

    def wait(self, timeout: float) -> bool:
        """Wait until there is something to receive, at most `timeout` seconds; whether there is."""
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return bool(poll.poll(max(0.0, timeout) * 1000))

    def request(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Send a message and wait for its answer. Raises Unavailable where none comes."""
        self.send(message, descriptors)
        answer = self.receive()
        if answer is None:
            raise Unavailable("the container's monitor went away before it answered")
        return answer[0]


def checked(message: dict[str, Any]) -> dict[str, Any]:
    """The message, unless it stands for an error: that is raised, as the kind it was."""
    if message.get("error"):
        kind = getattr(errors, str(message.get("kind")), ProaError)
        raise kind(message["error"])
    return message


class Short:
    """A path for `directory` that fits into the 108 bytes of a socket's address (unix(7))."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> str:
        if len(self._directory) < 80:
            return self._directory
        self._descriptor = posix.open(self._directory, posix.O_PATH | posix.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            posix.close(self._descriptor)


def _in_memory(data: bytes) -> int:
    descriptor = posix.memfd_create("message", posix.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[posix.write(descriptor, view) :]
    posix.lseek(descriptor, 0, 0)
    return descriptor


def _read_all(descriptor: int) -> bytes:
    try:
        return posix.read(descriptor, posix.fstat(descriptor).st_size)
    finally:
        posix.close(descriptor)
