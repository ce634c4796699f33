"""Further processes in a container: the part of `Container` that is about them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as StreamSocket  # noqa: N812
    from collections.abc import Callable, Sequence
    from typing import Any

    from proa.engine.attach import Attachment, Ends
    from proa.engine.execute import ExecConfig, ExecResult
    from proa.lean.channel import Channel
    from proa.store.containers import ContainerRow
    from proa.store.events import Happening


class ContainerExecs:
    """Starts processes in a container that runs."""

    _row: ContainerRow

    if TYPE_CHECKING:
        # what Container has

        def connect(self) -> Channel:  # noqa: D102
            ...

        def note(self, happenings: Sequence[Happening]) -> None:  # noqa: D102
            ...

        def _request(self, message: dict[str, Any]) -> dict[str, Any]: ...
        def _require_unfrozen(self, deed: str) -> None: ...

    def execute(self, wanted: ExecConfig, ends: Ends) -> Attachment:
        """Start a further process in it, with `ends` attached; `run()` the result."""
        from proa.engine.execute import start

        self._require_unfrozen("exec")
        return start(self.connect(), self._row, wanted, ends, self.note)

    def execute_open(
        self,
        wanted: ExecConfig,
        *,
        stdout: bool,
        stderr: bool,
        id: str = "",
        started: Callable[[int], None] = lambda _pid: None,
    ) -> tuple[Channel, StreamSocket]:
        """Start a further process: a channel that brings its end, and a stream to and from it.

        `id`: what it is called in events. `started` gets its pid on the host.
        """
        from proa.engine.execute import open_stream

        self._require_unfrozen("exec")
        channel = self.connect()
        try:
            stream = open_stream(
                channel,
                self._row,
                wanted,
                self.note,
                stdout=stdout,
                stderr=stderr,
                id=id,
                started=started,
            )
            return channel, stream
        except BaseException:
            channel.close()
            raise

    def execute_detached(self, wanted: ExecConfig, *, id: str = "") -> int:
        """Start a further process in it and leave it alone; its pid on the host."""
        from proa.engine.execute import start_detached

        self._require_unfrozen("exec")
        return start_detached(self.connect(), self._row, wanted, self.note, id)

    def resize_exec(self, id: str, rows: int, columns: int) -> None:
        """Tell the terminal of a further process the size. Raises NotFound, Conflict."""
        self._request({"op": "exec-resize", "id": id, "rows": rows, "columns": columns})

    def exec_run(self, command: str | list[str], **options: Any) -> ExecResult:
        """Run a command in it: exit code and output. `options`, all of docker-py's:

        user, workdir, environment (a mapping or NAME=VALUE items), tty, privileged;
        stdin: bytes for its standard input (True alone: there is one, and it is at its end);
        stdout, stderr: whether they are wanted (True); demux: output is a pair of both;
        detach: do not wait; stream: output is an iterator of pieces, the exit code None;
        socket: output is a `socket.socket` to its standard streams (with stdin=True its input
        too), framed as in Docker's API unless there is a tty; the exit code is None.
        """
        from proa.engine.execute import run_captured

        self._require_unfrozen("exec")
        return run_captured(self, command, options)  # type: ignore[arg-type]
