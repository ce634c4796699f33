"""Where a volume stands while it is being filled: copies under names of their own.

For the monitor too, which asks at each first start: `fill` has what does it.
"""

from __future__ import annotations

import posix

COPYING = ".proa-copying"
"""a copy that is being made, or was interrupted: it is made anew"""
COPIED = ".proa-copied"
"""a complete copy that is being moved over, or was interrupted there: it goes on"""
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


def is_due(target: int, place: int) -> bool:
    """Whether the volume wants to be filled: it is empty, or a copy was not moved to the end.

    `target`: the directory of its files, `place` the one where copies are made, which may be the
    same; descriptors.
    """
    return has(place, COPIED) or not set(names(target)) - {COPYING}


def names(directory: int) -> list[str]:
    """What there is in a directory, a descriptor."""
    # by its own name: what was opened for its path only cannot be listed
    listing = posix.open(".", _DIRECTORY, dir_fd=directory)
    try:
        return posix.listdir(listing)
    finally:
        posix.close(listing)


def has(directory: int, name: str) -> bool:
    """Whether the directory has something of that name."""
    try:
        posix.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
