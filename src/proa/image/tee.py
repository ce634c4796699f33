"""Storing a blob while it is read for something else, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from proa.errors import Cancelled

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.image.reader import BinaryReader
    from proa.store.blobs import Ingest

_CHUNK = 1 << 18
_AHEAD = 16
"""Chunks that may wait to be written; together with the size of a chunk, this bounds memory."""


class Tee:
    """A reader of `stream` that writes all it reads to `blob`.

    Hashing and writing, for which Python's lock is not held, happen beside what the reader of
    the data does.
    """

    def __init__(self, stream: BinaryReader, blob: Ingest, cancelled: threading.Event) -> None:
        self._stream = stream
        self._blob = blob
        self._cancelled = cancelled
        self._queue: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="proa-blob", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes. Raises Cancelled, and what writing the blob raised."""
        if self._error is not None:
            raise self._error
        if self._cancelled.is_set():
            raise Cancelled("unpacking was stopped")
        data = self._stream.read(_CHUNK if size < 0 else min(size, _CHUNK))
        if data:
            self._queue.put(data)
        return data

    def finish(self) -> None:
        """Read what is left, and wait until all of it is written. Raises as `read` does."""
        while self.read(_CHUNK):
            pass
        self._stop()
        if self._error is not None:
            raise self._error

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(b"")
            self._thread.join()

    def _write(self) -> None:
        while data := self._queue.get():
            if self._error is None:
                try:
                    self._blob.write(data)
                except BaseException as error:
                    self._error = error
