"""The standard streams of one process in a container, between it, its log and its viewers."""

from __future__ import annotations

import fcntl
import posix

from proa.monitor.loop import READ, WRITE
from proa.monitor.viewer import Viewer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.monitor.log import NoLog
    from proa.monitor.loop import Loop

_CHUNK = 64 * 1024
_MOST_INPUT = 256 * 1024


class Streams:
    """Pipes or a terminal to one process, and whoever is attached to them.

    Make it, give `child` to the runtime (or the terminal to `use_terminal`), then `begin`.
    """

    def __init__(self, loop: Loop, *, log: NoLog, tty: bool, stdin: bool, spill: str) -> None:
        self._loop = loop
        self._log = log
        self._tty = tty
        self._spill = spill
        self._viewers: list[Viewer] = []
        self._outputs: dict[int, str] = {}
        self._held = False
        self._input = -1
        self._waiting = bytearray()
        self._end_when_written = False
        self.child: tuple[int, int, int] | None = None
        """what the process gets as 0, 1, 2; None with a terminal"""
        self.on_output_end: Callable[[], None] | None = None
        if not tty:
            self._make_pipes(stdin)

    def use_terminal(self, master: int) -> None:
        """Take the terminal's master end that the runtime made."""
        posix.set_blocking(master, False)
        self._outputs[master] = "stdout"
        self._input = posix.dup(master)

    def begin(self) -> None:
        """The process runs: close its ends, and copy from now on."""
        self.close_child()
        if not self._held:
            self.release()

    def hold(self) -> None:
        """Leave further output in its pipes: the log takes no more for now."""
        self._held = True
        for descriptor in self._outputs:
            self._loop.forget(descriptor)

    def release(self) -> None:
        """Copy output from now on."""
        self._held = False
        for descriptor in self._outputs:
            self._loop.watch(descriptor, READ, self._reader(descriptor))

    def close_child(self) -> None:
        """Close the process's ends of the pipes."""
        for descriptor in self.child or ():
            posix.close(descriptor)
        self.child = None

    def attach(
        self, descriptor: int, *, streams: frozenset[str], stdin: bool, stdin_once: bool
    ) -> None:
        """Add a viewer with its byte stream `descriptor`."""
        viewer = Viewer(
            self._loop,
            descriptor,
            framed=not self._tty,
            streams=streams,
            spill=self._spill,
            on_input=self._write_input if stdin else None,
            on_input_end=self._end_input if stdin and stdin_once and not self._tty else None,
            on_gone=self._forget_viewer,
        )
        self._viewers.append(viewer)

    @property
    def terminal(self) -> int:
        """The terminal's master, or -1."""
        return self._input if self._tty else -1

    @property
    def delivered(self) -> bool:
        """Whether all viewers have all output."""
        return all(viewer.delivered for viewer in self._viewers)

    def finish(self) -> None:
        """The process is gone: take what is left of its output, end the streams."""
        for descriptor in list(self._outputs):
            while self._copy(descriptor):
                pass
            self._close_output(descriptor)
        self._close_input()
        for viewer in list(self._viewers):
            viewer.finish()

    def close(self) -> None:
        """Hang up on everyone."""
        self.close_child()
        for viewer in list(self._viewers):
            viewer.close()

    def _make_pipes(self, stdin: bool) -> None:
        if stdin:
            theirs, self._input = posix.pipe2(posix.O_CLOEXEC)
            posix.set_blocking(self._input, False)
        else:
            theirs = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        ends = [theirs]
        for name in ("stdout", "stderr"):
            ours, end = posix.pipe2(posix.O_CLOEXEC)
            posix.set_blocking(ours, False)
            self._outputs[ours] = name
            ends.append(end)
        self.child = (ends[0], ends[1], ends[2])

    def _reader(self, descriptor: int) -> Callable[[int], None]:
        def ready(_events: int) -> None:
            if not self._copy(descriptor):
                return
            # a busy writer: take some more before asking poll again
            for _ in range(8):
                if self._held or not self._copy(descriptor):
                    return

        return ready

    def _copy(self, descriptor: int) -> bool:
        """Pass one chunk on; False where there is nothing now, or no more at all."""
        name = self._outputs.get(descriptor)
        if name is None:
            return False
        try:
            data = posix.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""  # EIO: no process has the terminal open any more
        if not data:
            self._close_output(descriptor)
            return False
        self._log.write(name, data)
        for viewer in list(self._viewers):
            viewer.show(name, data)
        return True

    def _close_output(self, descriptor: int) -> None:
        if self._outputs.pop(descriptor, None) is None:
            return
        self._loop.forget(descriptor)
        posix.close(descriptor)
        if not self._outputs and self.on_output_end is not None:
            self.on_output_end()

    def _write_input(self, data: bytes) -> bool:
        """Give input to the process; False where it should not be sent more for now."""
        if self._input < 0:
            return True  # nobody reads it: as writing to a closed pipe, without the signal
        self._waiting += data
        self._flush_input()
        return len(self._waiting) < _MOST_INPUT

    def _flush_input(self, _events: int = 0) -> None:
        try:
            while self._waiting:
                del self._waiting[: posix.write(self._input, self._waiting[:_CHUNK])]
        except BlockingIOError:
            self._loop.watch(self._input, WRITE, self._flush_input)
            return
        except OSError:
            self._waiting.clear()
            self._close_input()
            self._resume_viewers()
            return
        self._loop.forget(self._input)
        if self._end_when_written:
            self._close_input()
        self._resume_viewers()

    def _resume_viewers(self) -> None:
        for viewer in list(self._viewers):
            viewer.resume_input()

    def _end_input(self) -> None:
        self._end_when_written = True
        if not self._waiting:
            self._close_input()

    def _close_input(self) -> None:
        if self._input >= 0:
            self._loop.forget(self._input)
            posix.close(self._input)
            self._input = -1

    def _forget_viewer(self, viewer: Viewer) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)


def set_terminal_size(descriptor: int, rows: int, columns: int) -> None:
    """Tell a terminal its size in characters (ioctl_tty(2), TIOCSWINSZ)."""
    size = rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
    fcntl.ioctl(descriptor, 0x5414, size)
