"""Terminals: ioctl_tty(2), pts(4)."""

from __future__ import annotations

import fcntl
import posix
import sys

from proa.kernel.path import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2

_TIOCSCTTY = 0x540E
_TIOCGWINSZ = 0x5413
_TIOCSWINSZ = 0x5414
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441
_PTMX = (5, 2)


def open_pair(devpts: int) -> tuple[int, int]:
    """A new terminal of the devpts file system at descriptor `devpts`: (master, slave).

    Its `ptmx` is opened without following a link or crossing a mount, and it must be the device
    of that name: whoever may change /dev cannot make us open something else. The slave is opened
    through the master, not by its path. Both are close-on-exec, neither becomes the controlling
    terminal. Raises OSError.
    """
    flags = posix.O_RDWR | posix.O_NOCTTY
    master = openat2(
        devpts,
        "ptmx",
        flags,
        resolve=RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    )
    try:
        device = posix.fstat(master).st_rdev
        if (posix.major(device), posix.minor(device)) != _PTMX:
            raise OSError(19, "not the terminal multiplexer", "/dev/pts/ptmx")
        fcntl.ioctl(master, _TIOCSPTLCK, bytes(4))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, flags | posix.O_CLOEXEC)
    except BaseException:
        posix.close(master)
        raise
    return master, slave


def number(master: int) -> int:
    """The number of the terminal in its devpts file system: its slave is called that."""
    answer = fcntl.ioctl(master, _TIOCGPTN, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


def make_controlling(slave: int) -> None:
    """Make it the controlling terminal of this session, which this process leads."""
    fcntl.ioctl(slave, _TIOCSCTTY, 0)


def get_size(terminal: int) -> tuple[int, int]:
    """(rows, columns). Raises OSError where it is no terminal."""
    answer = fcntl.ioctl(terminal, _TIOCGWINSZ, bytes(8))
    return int.from_bytes(answer[0:2], sys.byteorder), int.from_bytes(answer[2:4], sys.byteorder)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Tell the programs on the terminal how large it is; they get SIGWINCH."""
    sizes = (rows & 0xFFFF, columns & 0xFFFF, 0, 0)
    fcntl.ioctl(
        terminal, _TIOCSWINSZ, b"".join(value.to_bytes(2, sys.byteorder) for value in sizes)
    )
