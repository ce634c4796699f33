"""Bytes of a layer decompressed, counted and hashed beside the thread that unpacks them.

Inflating and hashing take as long as all else together, and C code does them without the
interpreter's lock: a thread each, and chunks handed on by queues, use the cores there are. A
layer of one chunk, as most are, is not worth a thread.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from queue import SimpleQueue

from proa.errors import LimitExceeded
from proa.oci.digest import Digest
from proa.snapshot.decompress import Stream, chunks

_AHEAD = 6
"""Chunks between two threads, at most: 3 MB."""


class StreamFailed(Exception):
    """Reading or decompressing raised `cause`: nothing is wrong with the directory written to."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Inflow:
    """The uncompressed bytes of `stream`.

    Used as a context manager: on leaving, no thread is left, and `stream` is not read any more.
    """

    def __init__(self, stream: Stream, *, maximum: int) -> None:
        self._stream = stream
        self._produce: Callable[[], bytes] | None = None
        self._maximum = maximum
        self._hash = hashlib.sha256()
        self._threads: list[threading.Thread] = []
        self._ready: SimpleQueue[bytes | BaseException] = SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._stopped = False
        self._ended = False
        self._calls = 0
        self.size = 0
        """Uncompressed bytes so far."""

    def __enter__(self) -> Inflow:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._room.release()
        self._join()

    def next(self) -> bytes:
        """The next chunk; b"" at the end. Raises StreamFailed."""
        if self._ended:
            return b""
        if self._threads:
            item = self._ready.get()
            if isinstance(item, BaseException):
                self._ended = True
                raise StreamFailed(item)
            self._room.release()
            chunk = item
        else:
            try:
                chunk = self._take()
            except Exception as error:
                raise StreamFailed(error) from None
            self._hash.update(chunk)
            self._calls += 1
            if self._calls == 2 and chunk:
                self._start()
        if not chunk:
            self._ended = True
        return chunk

    def digest(self) -> Digest:
        """The SHA-256 of all bytes. Only after `next` gave b""."""
        self._join()
        return Digest.trusted(f"sha256:{self._hash.hexdigest()}")

    def _take(self) -> bytes:
        if self._produce is None:
            self._produce = chunks(self._stream)
        chunk = self._produce()
        self.size += len(chunk)
        if self.size > self._maximum:
            raise LimitExceeded(
                f"the layer is larger than {self._maximum} bytes uncompressed, which is the limit"
            )
        return chunk

    def _start(self) -> None:
        hashing: SimpleQueue[bytes] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._inflate, args=(hashing,), daemon=True),
            threading.Thread(target=self._digest, args=(hashing,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _inflate(self, hashing: SimpleQueue[bytes]) -> None:
        try:
            while True:
                self._room.acquire()
                if self._stopped:
                    return
                chunk = self._take()
                hashing.put(chunk)
                self._ready.put(chunk)
                if not chunk:
                    return
        except BaseException as error:
            self._ready.put(error)
        finally:
            hashing.put(b"")

    def _digest(self, hashing: SimpleQueue[bytes]) -> None:
        update = self._hash.update
        while chunk := hashing.get():
            update(chunk)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
