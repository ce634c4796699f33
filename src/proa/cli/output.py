"""Text to the terminal, the pipe or the file that stdout and stderr are.

Bytes go to the descriptors directly: names in containers need not be valid UTF-8, nor does the
terminal's locale need to know their characters.
"""

from __future__ import annotations

import posix

STDIN, STDOUT, STDERR = 0, 1, 2


def write(text: str) -> None:
    """Write `text` to stdout. Raises BrokenPipeError, OSError."""
    write_bytes(STDOUT, text.encode("utf-8", "surrogateescape"))


def line(text: str) -> None:
    """Write `text` and a line's end to stdout."""
    write(text + "\n")


def complain(text: str) -> None:
    """Write one line to stderr, as `proa: text`; nobody is helped by an error about an error."""
    try:
        write_bytes(STDERR, f"proa: {text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass


def warn(text: str) -> None:
    """Write one line to stderr as it is."""
    write_bytes(STDERR, f"{text}\n".encode("utf-8", "surrogateescape"))


def write_bytes(descriptor: int, data: bytes) -> None:
    """Write all of `data`, also to a pipe that takes it in pieces. Raises OSError."""
    view = memoryview(data)
    while view:
        try:
            written = posix.write(descriptor, view)
        except BlockingIOError:
            _wait_until_writable(descriptor)
            continue
        view = view[written:]


def _wait_until_writable(descriptor: int) -> None:
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()
