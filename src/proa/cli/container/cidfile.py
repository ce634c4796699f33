"""`--cidfile`: the file that gets the container's id."""

from __future__ import annotations

import posix

from proa.cli.flags import UsageError
from proa.cli.output import write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class IdFile:
    """A file that did not exist before, and is gone again where no id came to be written.

    Raises UsageError where there is one already, or it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = False
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
        try:
            self._descriptor = posix.open(path, flags, 0o644)
        except FileExistsError:
            raise UsageError(
                f"container ID file found, make sure the other container isn't running or delete "
                f"{path}"
            ) from None
        except OSError as error:
            raise UsageError(
                f"failed to create the container ID file {path}: "
                f"{(error.strerror or str(error)).lower()}"
            ) from error

    def write(self, id: str) -> None:
        """Put the id into the file."""
        write_bytes(self._descriptor, id.encode())
        self._written = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        posix.close(self._descriptor)
        if not self._written:
            try:
                posix.unlink(self._path)
            except FileNotFoundError:
                pass
