"""What volumes are called."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument

ANONYMOUS = "com.docker.volume.anonymous"
"""Docker's label of volumes that nobody has named; tools look for it."""
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
_LONGEST = 255


def check_name(name: str) -> None:
    """Refuse a name that Docker would. Raises InvalidArgument."""
    if len(name) < 2:
        raise InvalidArgument(
            f'volume name "{name}" is too short, names should be at least two alphanumeric'
            " characters"
        )
    if not set(name) <= _NAME or name[0] in "_.-":
        raise InvalidArgument(
            f'"{name}" includes invalid characters for a volume name, only'
            ' "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed; if you intended to pass a host directory,'
            " use an absolute path"
        )
    if len(name) > _LONGEST:
        raise InvalidArgument(f"volume name {name[:20]}… is longer than {_LONGEST} characters")


def generate() -> str:
    """The name of a volume that nobody names: 64 hexadecimal digits."""
    return posix.urandom(32).hex()


def check_subpath(path: str) -> None:
    """Refuse what is no path within a volume or image. Raises InvalidArgument."""
    if path[:1] == "/" or ".." in path.split("/"):
        raise InvalidArgument(
            f"invalid subpath {path}: it must be a relative path within the volume, without '..'"
        )
