"""A further process in a running container, with streams of its own and no log."""

from __future__ import annotations

import posix

from proa.errors import Conflict, ProaError
from proa.monitor.log import NoLog
from proa.monitor.loop import READ
from proa.monitor.prepare import apply_user
from proa.monitor.stdio import Streams, set_terminal_size
from proa.monitor.supervise import reap
from proa.runtime.container import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.monitor.supervise import Monitor


class Exec:
    """Starts the process that `message` describes and stays with it until its end.

    `message`: process (OCI), user, tty, stdin, stdout, stderr, rows, columns. `stream`: the
    client's byte stream, or None. `over` is called with the exit code.
    Raises what the runtime raises where the command cannot be executed.
    """

    def __init__(
        self,
        monitor: Monitor,
        message: dict[str, Any],
        stream: int | None,
        over: Callable[[int], None],
    ) -> None:
        self.id = str(message.get("id", ""))
        self._monitor = monitor
        self._over = over
        container = monitor.running()
        if container.cgroup.frozen():
            # it would freeze on joining the cgroup, and we would wait for it
            raise Conflict(
                f"container {monitor.job.id[:12]} is paused, unpause the container before exec"
            )
        process = message["process"]
        tty = bool(message.get("tty"))
        stdin = bool(message.get("stdin"))
        self._streams = Streams(
            monitor.loop, log=NoLog(), tty=tty, stdin=stdin, spill=monitor.directory
        )
        try:
            root = posix.open(
                f"/proc/{container.pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC
            )
            try:
                apply_user(root, process, str(message.get("user", "")), monitor.job.groups_add)
            finally:
                posix.close(root)
            child = self._streams.child
            stdio = Stdio(*child) if child is not None else None
            self._process = container.exec(process, stdio)
        except (ProaError, OSError):
            self._streams.close()
            raise
        if tty and self._process.console is not None:
            self._streams.use_terminal(self._process.console)
            if message.get("rows"):
                set_terminal_size(self.terminal, int(message["rows"]), int(message["columns"]))
        if stream is not None:
            names = frozenset(name for name in ("stdout", "stderr") if message.get(name, True))
            self._streams.attach(stream, streams=names, stdin=stdin, stdin_once=True)
        self._streams.begin()
        monitor.loop.watch(self._process.pidfd, READ, self._exited)

    @property
    def pid(self) -> int:
        """The process, in the host's pid namespace."""
        return self._process.pid

    @property
    def terminal(self) -> int:
        """The terminal's master, or -1."""
        return self._streams.terminal

    def _exited(self, _events: int) -> None:
        self._monitor.loop.forget(self._process.pidfd)
        posix.close(self._process.pidfd)
        exit_code = reap(self._process.pid)
        self._streams.finish()
        self._over(exit_code)
