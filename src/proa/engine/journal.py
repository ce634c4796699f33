"""Reads a container's log back from systemd's journal, by journalctl(1)."""

from __future__ import annotations

import os
import select
import shutil
import subprocess

from proa.engine.logs import LogEntry, watch_end
from proa.errors import Unavailable
from proa.lean import clock, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from proa.engine.container import Container

_FIELDS = "MESSAGE,PRIORITY,SYSLOG_TIMESTAMP,CONTAINER_PARTIAL_MESSAGE"
_POLL = 0.1
"""Seconds between two looks at whether the container has ended."""
_CHUNK = 1 << 16
_ERROR = "3"
"""The priority of what was written to stderr."""


def read_journal(
    container: Container,
    *,
    follow: bool,
    tail: int | None,
    since: int | None,
    until: int | None,
) -> Iterator[LogEntry]:
    """The entries of the container's log, oldest first; see `Container.logs`.

    Raises Unavailable where there is no journalctl.
    """
    program = shutil.which("journalctl")
    if program is None:
        raise Unavailable(
            f"the log of container {container.name} is in the journal, and there is no journalctl"
            " to read it with: install systemd's"
        )
    command = [
        *(program, "--quiet", "--no-pager", "--all", "--output", "json"),
        *("--output-fields", _FIELDS, f"CONTAINER_ID_FULL={container.id}"),
    ]
    if since:
        command += ["--since", f"@{since // 1_000_000_000}"]
    entries = _follow(container, command, tail) if follow else _read(command, tail)
    return _within(entries, since, until)


def _read(command: list[str], tail: int | None) -> Iterator[LogEntry]:
    limit = [] if tail is None else ["--lines", str(tail)]
    with _started([*command, *limit]) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if (found := _parse(line)) is not None:
                yield found[1]


def _follow(container: Container, command: list[str], tail: int | None) -> Iterator[LogEntry]:
    ended = watch_end(container)
    limit = "all" if tail is None else str(tail)
    last = ""
    with _started([*command, "--follow", "--lines", limit]) as process:
        assert process.stdout is not None
        try:
            for line in _lines(process.stdout.fileno(), ended):
                if (found := _parse(line)) is not None:
                    last, entry = found
                    yield entry
        finally:
            process.terminate()
    # what the container said at its end may be on its way into the journal
    subprocess.run([command[0], "--sync"], capture_output=True, check=False)
    rest = ["--after-cursor", last] if last else ["--lines", limit]
    yield from _read([*command, *rest], None)


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def _within(
    entries: Iterator[LogEntry], since: int | None, until: int | None
) -> Iterator[LogEntry]:
    for entry in entries:
        moment = clock.to_nanoseconds(entry.time) if since or until else 0
        if until and moment > until:
            return
        if not since or moment >= since:
            yield entry


def _lines(descriptor: int, ended: threading.Event) -> Iterator[bytes]:
    """Lines as they come, until the container has ended."""
    rest = b""
    while True:
        if not select.select([descriptor], [], [], _POLL)[0]:
            if ended.is_set():
                return
            continue
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        yield from lines


def _parse(line: bytes) -> tuple[str, LogEntry] | None:
    """The cursor of an entry, and the entry."""
    try:
        data = json.loads(line)
        message = data.get("MESSAGE") or ""
        # bytes that are no text come as numbers
        text = bytes(message) if isinstance(message, list) else str(message).encode()
        end = b"" if data.get("CONTAINER_PARTIAL_MESSAGE") == "true" else b"\n"
        stream = "stderr" if data.get("PRIORITY") == _ERROR else "stdout"
        moment = data.get("SYSLOG_TIMESTAMP") or clock.from_nanoseconds(
            int(data["__REALTIME_TIMESTAMP"]) * 1000
        )
        return str(data["__CURSOR"]), LogEntry(stream, moment, text + end)
    except (ValueError, KeyError, TypeError):
        return None
