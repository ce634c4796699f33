"""Reads a container's log, also while it is written and rotated."""

from __future__ import annotations

import os
import threading

from proa.errors import ContainerNotFound, InvalidArgument, ProaError
from proa.lean import clock, json
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import BinaryIO

    from proa.engine.container import Container

    Moment = datetime | float | int | None

_POLL = 0.05
"""Seconds between two looks at a log that is followed."""
_CHUNK = 1 << 20


@record
class LogEntry:
    """A record of the log: a line, or a piece of one where it was very long."""

    stream: str
    """stdout or stderr"""
    time: str
    """RFC 3339"""
    data: bytes


@record
class Kept:
    """Where a log is kept in files, and how it is read."""

    path: str
    """of the file that is written; older ones are `path`.1, or `path`.1.gz, and so on"""
    split: Callable[[BinaryIO], Iterator[bytes]]
    """the records of an open file, as far as they are whole"""
    parse: Callable[[bytes], LogEntry | None]


def read_logs(
    container: Container,
    *,
    follow: bool = False,
    tail: int | None = None,
    since: int | None = None,
    until: int | None = None,
    ended: threading.Event | None = None,
) -> Iterator[LogEntry]:
    """The entries of the container's log, oldest first; see `Container.logs`.

    `ended`: who follows sets it to be given what is there yet, and then the end.
    Raises InvalidArgument for a container whose log driver keeps none that could be read.
    """
    driver = container.config.log_driver
    if driver == "json-file":
        path = f"{container.directory}/{container.id}-json.log"
        kept = Kept(path, _lines, _parse)
    elif driver == "local":
        from proa.engine.log_frames import kept_locally

        kept = kept_locally(container.directory)
    elif driver == "journald":
        from proa.engine.journal import read_journal

        return read_journal(container, follow=follow, tail=tail, since=since, until=until)
    else:
        raise InvalidArgument(
            f"configured logging driver does not support reading: container {container.name} was"
            f" made with --log-driver {driver}"
        )
    if follow:
        ended = watch_end(container, ended)
    return _entries(kept, ended if follow else None, tail=tail, since=since, until=until)


def read_bytes(
    container: Container,
    *,
    streams: frozenset[str],
    stream: bool,
    timestamps: bool,
    tail: int | str,
    since: Moment,
    until: Moment,
    follow: bool,
) -> bytes | Iterator[bytes]:
    """The log as text; see `Container.logs`."""
    entries = read_logs(
        container,
        follow=follow,
        tail=tail if isinstance(tail, int) else None,
        since=_nanoseconds(since),
        until=_nanoseconds(until),
    )
    lines = (
        entry.time.encode() + b" " + entry.data if timestamps else entry.data
        for entry in entries
        if entry.stream in streams
    )
    return lines if stream or follow else b"".join(lines)


def pieces(
    container: Container, streams: frozenset[str], *, demux: bool
) -> Iterator[bytes | tuple[bytes | None, bytes | None]]:
    """All that it has written, and what it writes until it ends, piece by piece."""
    for entry in read_logs(container, follow=True):
        if entry.stream not in streams:
            continue
        if not demux:
            yield entry.data
        elif entry.stream == "stderr":
            yield None, entry.data
        else:
            yield entry.data, None


def _nanoseconds(moment: Moment) -> int | None:
    if moment is None:
        return None
    seconds = moment if isinstance(moment, int | float) else moment.timestamp()
    return int(seconds * 1_000_000_000)


def _entries(
    kept: Kept,
    ended: threading.Event | None,
    *,
    tail: int | None,
    since: int | None,
    until: int | None,
) -> Iterator[LogEntry]:
    files = _open_all(kept.path)
    try:
        lines: Iterator[bytes] = (line for file in files for line in kept.split(file))
        if tail is not None:
            lines = iter(_last(lines, tail))
        for line in lines:
            entry = kept.parse(line)
            if entry is None:
                continue
            moment = clock.to_nanoseconds(entry.time) if since or until else 0
            if until and moment > until:
                return
            if not since or moment >= since:
                yield entry
        if ended is None:
            return
        current = files.pop() if files else None
        for line in _follow(kept, current, ended):
            entry = kept.parse(line)
            if entry is None:
                continue
            if until and clock.to_nanoseconds(entry.time) > until:
                return
            yield entry
    finally:
        for file in files:
            file.close()


def _open_all(path: str) -> list[BinaryIO]:
    """The log's files, oldest first."""
    files: list[BinaryIO] = []
    number = 0
    while True:
        file = _open(f"{path}.{number}" if number else path)
        if file is None:
            return files
        files.insert(0, file)
        number += 1


def _lines(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_CHUNK):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        yield from lines
    if rest:
        # a line that is being written; whoever follows reads it again when it is whole
        file.seek(-len(rest), os.SEEK_CUR)


def _last(lines: Iterator[bytes], count: int) -> list[bytes]:
    from collections import deque

    return list(deque(lines, maxlen=count)) if count > 0 else ([] if count == 0 else list(lines))


def _follow(kept: Kept, file: BinaryIO | None, ended: threading.Event) -> Iterator[bytes]:
    """Records as they are written, over rotations, until the container has ended."""
    path = kept.path
    try:
        while True:
            last_round = ended.is_set()
            if file is None:
                file = _open(path)
            if file is not None:
                yield from kept.split(file)
                if _rotated(path, file):
                    yield from kept.split(file)  # what came before the rename
                    later = _next(path, file)
                    file.close()
                    file = later
                    continue
            if last_round:
                return
            ended.wait(_POLL)
    finally:
        if file is not None:
            file.close()


def _open(path: str) -> BinaryIO | None:
    """The file, or what it was compressed to; None where there is neither."""
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        pass
    if not os.path.exists(f"{path}.gz"):
        return None
    import gzip

    try:
        # the compressed one is there before the other one goes
        return gzip.open(f"{path}.gz")  # type: ignore[return-value]
    except FileNotFoundError:
        return None


def _next(path: str, file: BinaryIO) -> BinaryIO | None:
    """The log's file that was begun after `file`: the writer may have rotated more than once.

    Where `file` is removed already, the oldest that there is.
    """
    ours = os.fstat(file.fileno())
    files = _open_all(path)
    at = 0
    for number, other in enumerate(files):
        status = os.fstat(other.fileno())
        # what was compressed has kept the time of the last line, and nothing else
        if (status.st_dev, status.st_ino) == (ours.st_dev, ours.st_ino) or (
            status.st_mtime_ns == ours.st_mtime_ns and number < len(files) - 1
        ):
            at = number + 1
    wanted = files[at] if at < len(files) else None
    for other in files:
        if other is not wanted:
            other.close()
    return wanted


def _rotated(path: str, file: BinaryIO) -> bool:
    try:
        now, ours = os.stat(path), os.fstat(file.fileno())
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) != (ours.st_dev, ours.st_ino)


def watch_end(container: Container, ended: threading.Event | None = None) -> threading.Event:
    """An event, `ended` or a new one, that is set when the container does not run any more."""
    ended = ended or threading.Event()
    if container.status not in ("running", "paused", "restarting"):
        ended.set()
        return ended

    def wait() -> None:
        try:
            container.wait()
        except (ProaError, ContainerNotFound):
            pass
        finally:
            ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def _parse(line: bytes) -> LogEntry | None:
    """The entry of a line; None for one that a crash or a full disk cut short."""
    try:
        data = json.loads(line)
        return LogEntry(
            data["stream"], data["time"], data["log"].encode("utf-8", "surrogateescape")
        )
    except (ValueError, KeyError, TypeError):
        return None
