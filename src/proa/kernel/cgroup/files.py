"""Reading and writing control files."""

from __future__ import annotations

import posix

from proa.errors import KernelError

_CHUNK = 1 << 16
# The kernel fills a page with whole lines and then returns: what is much shorter than that was all
# there is, and needs no second read to see the end. Lines of /proc may themselves be long.
_SHORT = 2048


def read(path: str) -> bytes:
    """All of the control file `path`. Raises OSError."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = posix.read(descriptor, _CHUNK)
        if len(data) < _SHORT and not path.startswith("/proc/"):
            return data
        whole = [data]
        while data:
            data = posix.read(descriptor, _CHUNK)
            whole.append(data)
        return b"".join(whole)
    finally:
        posix.close(descriptor)


def read_if_there(path: str) -> bytes | None:
    """All of the control file `path`; None where this kernel does not have it, or it is gone."""
    try:
        return read(path)
    except OSError:  # ENOENT; ENODEV once the cgroup is removed; EOPNOTSUPP while it is off
        return None


def write(path: str, value: str) -> None:
    """Write `value` to the control file `path`, which must exist. Raises OSError."""
    descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(descriptor, value.encode())
    finally:
        posix.close(descriptor)


def refused(path: str, value: str, reason: OSError, advice: str = "") -> KernelError:
    """The error for a limit that the kernel does not take."""
    message = f"cannot set {path} to {value!r}: {(reason.strerror or str(reason)).lower()}"
    return KernelError(f"{message}; {advice}" if advice else message)


def number(data: bytes | None) -> int | None:
    """The number in a control file; None for `max` and for a missing file."""
    text = b"" if data is None else data.strip()
    return int(text) if text.lstrip(b"-").isdigit() else None


def table(data: bytes | None) -> dict[str, int]:
    """The numbers of a flat keyed file (`name value` lines), by name."""
    found = {}
    for line in (data or b"").splitlines():
        name, _, value = line.partition(b" ")
        if value.isdigit():
            found[name.decode()] = int(value)
    return found
