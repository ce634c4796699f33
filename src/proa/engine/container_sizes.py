"""How much disk a container takes."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.container import Container
    from proa.engine.engine import Engine


def sizes(engine: Engine, container: Container) -> tuple[int, int]:
    """Bytes that the container itself has changed, and those with its image. Raises NotFound."""
    attributes = container.attrs
    if os.geteuid() == 0:
        writable = tree_size(attributes["GraphDriver"]["Data"]["UpperDir"])
    else:
        # some of it may belong to subordinate users, who let nobody look
        from proa.engine.rootless import snapshots

        found = snapshots(engine.root).usage(f"{container.directory}/snapshot")
        writable = found.size
    return writable, writable + int(engine.images.get(attributes["Image"]).attrs["Size"])


def tree_size(path: str) -> int:
    """Bytes of the regular files and links below `path`, each file once.

    A running container moves things about meanwhile: directories are opened without following
    links, and what has gone is not counted.
    """
    if not os.path.isdir(path):
        return 0
    total = 0
    seen: set[tuple[int, int]] = set()
    for _, directories, names, directory in os.fwalk(path, onerror=lambda _error: None):
        for name in (*names, *directories):  # a link to a directory is among the latter
            try:
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except OSError:
                continue
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                continue
            if status.st_nlink > 1:
                identity = (status.st_dev, status.st_ino)
                if identity in seen:
                    continue
                seen.add(identity)
            total += status.st_size
    return total
