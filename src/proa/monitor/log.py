"""The container's log. In Docker's json-file form: one JSON object a line, rotated by size.

`{"log":"hello\\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}`

Other drivers are in `drivers`.
"""

from __future__ import annotations

import posix

from proa.lean import clock, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.monitor.drivers.compress import Compressor
    from proa.monitor.job import Job
    from proa.monitor.loop import Loop

LONGEST_RECORD = 16 * 1024
"""Bytes of one record's text; a longer line becomes several records, as with Docker."""
DEFAULT_MAX_SIZE = 10 * 1000 * 1000
DEFAULT_MAX_FILES = 3


class NoLog:
    """The log driver `none`; also what every driver does."""

    @property
    def delivered(self) -> bool:
        """Whether nothing of the log waits for someone to take it."""
        return True

    def write(self, stream: str, data: bytes) -> None:
        """Add output of `stream` (stdout or stderr)."""

    def flow(self, hold: Callable[[], None], release: Callable[[], None]) -> None:
        """Whom to tell when no more output should be read for now, and when it should be again."""

    def close(self) -> None:
        """No more will come."""


class LineLog(NoLog):
    """A log of records: lines, or pieces of one that is very long."""

    def __init__(self) -> None:
        self._pending: dict[str, bytes] = {}

    def write(self, stream: str, data: bytes) -> None:
        """Add output of `stream`; an unfinished line waits for its rest."""
        pending = self._pending.pop(stream, b"")
        if pending:
            data = pending + data
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        whole = len(rest) - len(rest) % LONGEST_RECORD
        lines = data[:end].split(b"\n")
        lines.pop()
        records = [line + b"\n" for line in lines]
        if len(data) > LONGEST_RECORD:
            records = [piece for line in records for piece in _pieces(line)]
            records.extend(_pieces(rest[:whole]))
            rest = rest[whole:]
        if rest:
            self._pending[stream] = rest
        if records:
            self._append(stream, records)

    def close(self) -> None:
        """Write unfinished lines as they are, and close."""
        for stream, rest in self._pending.items():
            self._append(stream, [rest])
        self._pending.clear()
        self._end()

    def _append(self, stream: str, records: list[bytes]) -> None:
        """Add records; one without a line end is a piece of a line."""
        raise NotImplementedError

    def _end(self) -> None:
        """Let go of what is open."""
        raise NotImplementedError


class JsonLog(LineLog):
    """Writes the json-file log at `path`; older ones are `path.1`, `path.2` …"""

    def __init__(self, path: str, *, max_size: int, max_files: int, compress: bool = False) -> None:
        super().__init__()
        self._file = LogFile(path, max_size, max_files, compress=compress)

    def _append(self, stream: str, records: list[bytes]) -> None:
        tail = f',"stream":"{stream}","time":"{clock.now()}"}}\n'
        quote = json.quote
        self._file.store(
            [
                f'{{"log":{quote(record.decode("utf-8", "replace"))}{tail}'.encode()
                for record in records
            ]
        )

    def _end(self) -> None:
        self._file.close()


class LogFile:
    """A file of entries, rotated by size: none is torn in two."""

    def __init__(self, path: str, max_size: int, max_files: int, *, compress: bool) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._compress = compress
        self._compressor: Compressor | None = None
        self._descriptor = -1
        self._size = 0
        self._open()

    def store(self, entries: list[bytes]) -> None:
        """Append entries, and begin anew where the file is full."""
        if self._max_size <= 0 or self._size + sum(map(len, entries)) <= self._max_size:
            self._store(b"".join(entries))
            return
        batch: list[bytes] = []
        room = self._max_size - self._size
        for entry in entries:
            if len(entry) > room and (batch or self._size):
                self._store(b"".join(batch))
                self._rotate()
                batch, room = [], self._max_size - self._size
            batch.append(entry)
            room -= len(entry)
        self._store(b"".join(batch))

    def close(self) -> None:
        """Close the file, when all is as it is to stay."""
        posix.close(self._descriptor)
        self._descriptor = -1
        if self._compressor is not None:
            self._compressor.finish()

    def _store(self, data: bytes) -> None:
        try:
            self._size += posix.write(self._descriptor, data)
        except OSError:
            # A full disk loses the log's next lines. The container is not harmed.
            pass

    def _open(self) -> None:
        flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC
        self._descriptor = posix.open(self._path, flags, 0o640)
        self._size = posix.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        try:
            if self._max_files <= 1:
                posix.ftruncate(self._descriptor, 0)
                self._size = 0
                return
            if self._compressor is not None:
                self._compressor.finish()
            for number in range(self._max_files - 1, 0, -1):
                older = f"{self._path}.{number - 1}" if number > 1 else self._path
                for suffix in ("", ".gz") if self._compress else ("",):
                    self._rename(f"{older}{suffix}", f"{self._path}.{number}{suffix}")
            posix.close(self._descriptor)
            self._open()
            if self._compress:
                self._begin_compression(f"{self._path}.1")
        except OSError:
            pass  # as for a full disk: rather a long log than a dead container

    def _rename(self, older: str, newer: str) -> None:
        try:
            posix.rename(older, newer)
        except FileNotFoundError:
            return

    def _begin_compression(self, path: str) -> None:
        if self._compressor is None:
            from proa.monitor.drivers.compress import Compressor

            self._compressor = Compressor()
        self._compressor.begin(path)


def open_log(job: Job, directory: str, loop: Loop, report: Callable[[str], None]) -> NoLog:
    """The log of a container, by its job's driver and options.

    `report` is called with a line about what goes wrong later.
    Raises InvalidArgument, Unavailable where another process keeps the log and is not there.
    """
    driver = job.log_driver
    if driver == "none":
        return NoLog()
    path = f"{directory}/{job.id}-json.log"
    if driver == "json-file" and not job.log_options:
        return JsonLog(path, max_size=DEFAULT_MAX_SIZE, max_files=DEFAULT_MAX_FILES)
    from proa.monitor.drivers.options import parse

    options = parse(driver, job.log_options or {})
    if driver == "json-file":
        return JsonLog(
            path,
            max_size=options.max_size,
            max_files=options.max_files,
            compress=options.compress,
        )
    if driver == "local":
        from proa.monitor.drivers.local import LocalLog

        return LocalLog(directory, options)
    info = job.log_info or {}
    if driver == "journald":
        from proa.monitor.drivers.journald import open_journald

        return open_journald(loop, options, info, report)
    from proa.monitor.drivers.syslog import open_syslog

    return open_syslog(loop, options, info, report)


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + LONGEST_RECORD] for at in range(0, len(data), LONGEST_RECORD)]
