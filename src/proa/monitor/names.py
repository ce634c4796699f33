"""A monitor's part in its container's name server: the sockets, and that someone serves them.

The server is one process for all containers of an engine (`monitor.dns`). The monitor opens the
sockets in its container's network namespace and waits for the first query. Then it hands them over,
and starts the server where there is none. It keeps them too: where the server dies, queries wait in
them for the next one.
"""

from __future__ import annotations

import posix

from proa.errors import KernelError, Unavailable
from proa.kernel.namespace import CLONE_NEWNET, setns
from proa.lean.channel import connect
from proa.monitor.loop import READ
from proa.network.redirect_names import listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket  # noqa: N812

    from proa.lean.channel import Channel
    from proa.monitor.loop import Loop, Timer

SOCKET = "names.sock"
"""In the directory `run` of the engine's root."""
_PAUSE = 0.02
"""Seconds until it is tried again to reach a server that was started; longer each time."""
_LONGEST = 5.0


class NameServer:
    """The name server of one container."""

    def __init__(self, loop: Loop, root: str, container: str) -> None:
        self._loop = loop
        self._root = root
        self._container = container
        self._sockets: tuple[Socket, ...] = ()
        self._channel: Channel | None = None
        self._timer: Timer | None = None
        self._child = 0
        self._pause = _PAUSE

    def begin(self, pid: int) -> None:
        """Open the sockets in the network namespace of `pid`. Raises KernelError."""
        self.end()
        namespace = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        own = posix.open("/proc/self/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            setns(namespace, CLONE_NEWNET)
            try:
                self._sockets = listen()
            finally:
                setns(own, CLONE_NEWNET)
        except OSError as error:
            raise KernelError(
                f"cannot listen for the names that the container asks for: {error.strerror}"
            ) from error
        finally:
            posix.close(own)
            posix.close(namespace)
        self._wait()

    def end(self) -> None:
        """The container has ended: nobody asks any more."""
        self._loop.cancel(self._timer)
        self._timer = None
        self._hang_up()
        for socket in self._sockets:
            self._loop.forget(socket.fileno())
            socket.close()
        self._sockets = ()

    def _wait(self) -> None:
        """Until someone asks: most containers that live for a moment never do."""
        for socket in self._sockets:
            self._loop.watch(socket.fileno(), READ, self._asked)

    def _asked(self, _events: int) -> None:
        for socket in self._sockets:
            self._loop.forget(socket.fileno())
        self._hand_over()

    def _hand_over(self) -> None:
        self._timer = None
        try:
            channel = connect(f"{self._root}/run", SOCKET)
            try:
                descriptors = [socket.fileno() for socket in self._sockets]
                channel.send({"op": "serve", "container": self._container}, descriptors)
            except BaseException:
                channel.close()
                raise
        except Unavailable:
            self._start()
            return
        self._pause = _PAUSE
        self._channel = channel
        self._loop.watch(channel.fileno(), READ, self._lost)

    def _start(self) -> None:
        """Start a server, and try again soon; one that is not needed after all ends at once."""
        if not self._is_starting():
            from proa.runtime.interpreter import spawn

            arguments = (self._root,)
            self._child = spawn("proa.monitor.dns", arguments, session=True, packages=True)
        self._timer = self._loop.after(self._pause, self._hand_over)
        self._pause = min(self._pause * 1.5, _LONGEST)

    def _is_starting(self) -> bool:
        """Whether the server that we started lives."""
        if self._child:
            try:
                if posix.waitpid(self._child, posix.WNOHANG)[0] == 0:
                    return True
            except ChildProcessError:
                pass
            self._child = 0
        return False

    def _lost(self, _events: int) -> None:
        """The server says nothing: what arrives is its end."""
        self._hang_up()
        self._is_starting()
        self._wait()

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
