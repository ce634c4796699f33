"""Streams to and from a process in an ordinary user's namespace; see `proa.monitor.inside`."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from proa.monitor.inside import call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_CHUNK = 1 << 18


def read_from(
    function: str,
    arguments: dict[str, Any],
    *,
    join: int = 0,
    notify: Callable[[Any], None] | None = None,
) -> Iterator[bytes]:
    """What `function` writes to the descriptor it gets, in pieces; raises what it raises.

    `join`: the process whose user namespace to work in.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    worker = _Worker(function, arguments, [writer], join, notify)
    try:
        while piece := os.read(reader, _CHUNK):
            yield piece
        worker.join()
        if worker.failure is not None:
            raise worker.failure
    finally:
        os.close(reader)
        worker.join()


def write_to(
    function: str,
    arguments: dict[str, Any],
    pieces: Iterator[bytes],
    *,
    join: int = 0,
    notify: Callable[[Any], None] | None = None,
) -> None:
    """Write `pieces` to the descriptor that `function` gets, and wait for it; raises what it, or
    `pieces`, raises.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    worker = _Worker(function, arguments, [reader], join, notify)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(writer, view) :]
    except BrokenPipeError:
        pass  # it wants no more: it says why
    finally:
        os.close(writer)
        worker.join()
    if worker.failure is not None:
        raise worker.failure


class _Worker(threading.Thread):
    """Waits for the process, which has the other end of the pipe."""

    def __init__(
        self,
        function: str,
        arguments: dict[str, Any],
        descriptors: list[int],
        join: int,
        notify: Callable[[Any], None] | None,
    ) -> None:
        super().__init__(name="proa-inside", daemon=True)
        self._call = (function, arguments, descriptors)
        self._join = join
        self._notify = notify
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        function, arguments, descriptors = self._call

        def close() -> None:
            """Our copies: the pipe is to end with the other's."""
            while descriptors:
                os.close(descriptors.pop())

        try:
            call(
                function,
                arguments,
                descriptors,
                join=self._join,
                notify=self._notify,
                meanwhile=close,
            )
        except BaseException as error:
            self.failure = error
        finally:
            close()
