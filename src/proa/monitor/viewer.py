"""One client that is attached to a container's standard streams.

Without a terminal, output is framed as in Docker's attach protocol: a header of eight bytes,
`stream 0 0 0 length` (1 stdout, 2 stderr; length big-endian), then the bytes. With a terminal
it is raw, and so is input in both cases.
"""

from __future__ import annotations

import posix

from proa.monitor.backlog import Backlog
from proa.monitor.frames import HEADER, STREAMS
from proa.monitor.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.monitor.loop import Loop

_CHUNK = 64 * 1024


class Viewer:
    """An attached client; `descriptor` is the container's end of its byte stream."""

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        *,
        framed: bool,
        streams: frozenset[str],
        spill: str,
        on_input: Callable[[bytes], bool] | None,
        on_input_end: Callable[[], None] | None,
        on_gone: Callable[[Viewer], None],
    ) -> None:
        posix.set_blocking(descriptor, False)
        self._loop = loop
        self._descriptor = descriptor
        self._framed = framed
        self._streams = streams
        self._backlog = Backlog(spill)
        self._on_input = on_input
        self._on_input_end = on_input_end
        self._on_gone = on_gone
        self._finishing = False
        self._paused = False
        self._input_ended = on_input is None
        self._watch()

    def show(self, stream: str, data: bytes) -> None:
        """Pass output on, now or when the client is ready for it."""
        if self._descriptor < 0 or stream not in self._streams:
            return
        if self._framed:
            data = HEADER.pack(STREAMS[stream], len(data)) + data
        if not self._backlog:
            try:
                written = posix.write(self._descriptor, data)
            except BlockingIOError:
                written = 0
            except OSError:
                self.close()
                return
            if written == len(data):
                return
            data = data[written:]
        if not self._backlog.append(data):
            self.close()  # far too slow, or no disk to wait on: better gone than cut in silence
            return
        self._watch()

    def finish(self) -> None:
        """No more output will come: hang up once all of it is delivered."""
        self._finishing = True
        if not self._backlog:
            self.close()

    @property
    def delivered(self) -> bool:
        """Whether nothing waits for this client any more."""
        return self._descriptor < 0 or not self._backlog

    def resume_input(self) -> None:
        """The container takes input again."""
        if self._paused:
            self._paused = False
            self._watch()

    def close(self) -> None:
        """Hang up now."""
        if self._descriptor < 0:
            return
        self._loop.forget(self._descriptor)
        posix.close(self._descriptor)
        self._descriptor = -1
        self._backlog.close()
        if not self._input_ended:
            self._end_input()
        self._on_gone(self)

    def _watch(self) -> None:
        if self._descriptor < 0:
            return
        # With neither flag, poll still reports a peer that is gone (POLLHUP, POLLERR).
        events = 0
        if not self._input_ended and not self._paused:
            events |= READ
        if self._backlog:
            events |= WRITE
        self._loop.watch(self._descriptor, events, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE and self._backlog:
            self._drain()
        if self._descriptor < 0:
            return
        if events & READ:
            if self._input_ended or self._paused:
                if events & ~WRITE & ~1:  # POLLHUP or POLLERR: both directions are closed
                    self.close()
                return
            self._read()

    def _drain(self) -> None:
        try:
            while self._backlog:
                self._backlog.drop(posix.write(self._descriptor, self._backlog.first()))
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if self._finishing:
            self.close()
        else:
            self._watch()

    def _read(self) -> None:
        try:
            data = posix.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self._end_input()
            self._watch()
        elif self._on_input is not None and not self._on_input(data):
            self._paused = True
            self._watch()

    def _end_input(self) -> None:
        self._input_ended = True
        if self._on_input_end is not None:
            self._on_input_end()
