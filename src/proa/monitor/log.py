"""The container's log in Docker's json-file form: one JSON object a line, rotated by size.

`{"log":"hello\\n","stream":"stdout","time":"2026-01-31T12:00:00.123456789Z"}`
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument
from proa.lean import clock, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_RECORD = 16 * 1024
"""Bytes of one record's text; a longer line becomes several records, as with Docker."""
DEFAULT_MAX_SIZE = 10 * 1000 * 1000
DEFAULT_MAX_FILES = 3


class JsonLog:
    """Writes the json-file log at `path`; older ones are `path.1`, `path.2` …"""

    def __init__(self, path: str, *, max_size: int, max_files: int) -> None:
        self._path = path
        self._max_size = max_size
        self._max_files = max_files
        self._pending: dict[str, bytes] = {}
        self._descriptor = -1
        self._size = 0
        self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Add output of `stream` (stdout or stderr); an unfinished line waits for its rest."""
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
        self._append(stream, records)

    def close(self) -> None:
        """Write unfinished lines as they are, and close."""
        for stream, rest in self._pending.items():
            self._append(stream, [rest])
        self._pending.clear()
        posix.close(self._descriptor)
        self._descriptor = -1

    def _append(self, stream: str, records: list[bytes]) -> None:
        if not records:
            return
        tail = f',"stream":"{stream}","time":"{clock.now()}"}}\n'
        quote = json.quote
        entries = [
            f'{{"log":{quote(record.decode("utf-8", "replace"))}{tail}'.encode()
            for record in records
        ]
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
            for number in range(self._max_files - 1, 0, -1):
                older = f"{self._path}.{number - 1}" if number > 1 else self._path
                try:
                    posix.rename(older, f"{self._path}.{number}")
                except FileNotFoundError:
                    continue
            posix.close(self._descriptor)
            self._open()
        except OSError:
            pass  # as for a full disk: rather a long log than a dead container


class NoLog:
    """The log driver `none`."""

    def write(self, stream: str, data: bytes) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing was open."""


def open_log(driver: str, path: str, options: Mapping[str, str]) -> JsonLog | NoLog:
    """The log of a container by its driver and `--log-opt`s (max-size, max-file).

    Raises InvalidArgument for what there is not.
    """
    if driver == "none":
        return NoLog()
    max_size, max_files = parse_options(driver, options)
    return JsonLog(path, max_size=max_size, max_files=max_files)


def parse_options(driver: str, options: Mapping[str, str]) -> tuple[int, int]:
    """Bytes and number of log files that `--log-driver` and `--log-opt` ask for.

    Raises InvalidArgument for an unknown driver, option or value.
    """
    if driver not in ("json-file", "none"):
        raise InvalidArgument(f"unknown log driver {driver}: there are json-file and none")
    max_size, max_files = DEFAULT_MAX_SIZE, DEFAULT_MAX_FILES
    for name, value in options.items():
        if name == "max-size":
            max_size = -1 if value == "-1" else _size(value)
        elif name == "max-file" and value.isdecimal() and int(value) > 0:
            max_files = int(value)
        elif name in ("labels", "env"):
            continue  # what `logs --details` shows; the log itself has it not
        else:
            raise InvalidArgument(
                f"log option {name}={value} is not known: there are max-size=SIZE, max-file=NUMBER,"
                " labels=NAMES, env=NAMES"
            )
    return max_size, max_files


def _size(text: str) -> int:
    number = text.lower().removesuffix("b")
    factor = {"k": 10**3, "m": 10**6, "g": 10**9}.get(number[-1:], 1)
    digits = number[:-1] if factor > 1 else number
    if not digits.isdecimal() or int(digits) == 0:
        raise InvalidArgument(f"log option max-size={text} is not a size such as 10m")
    return int(digits) * factor


def _pieces(data: bytes) -> list[bytes]:
    return [data[at : at + LONGEST_RECORD] for at in range(0, len(data), LONGEST_RECORD)]
