"""What lies below every image in a container: places to mount on, and a mark.

Where an image lacks the directory or file that something is mounted on, it would have to be made
in each container anew, and would look like the container's change. Here it is made once for a
store. It lies lowest, so that whatever an image has there itself counts.

`/.dockerenv` is an empty file by which programs see that they run in a container, since Docker
puts it there.
"""

from __future__ import annotations

import posix
from errno import EEXIST, ENOTEMPTY

from proa.snapshot.remove import remove_tree

_DIRECTORIES = ("dev", "etc", "proc", "sys")
_FILES = (
    (".dockerenv", 0o755),
    ("etc/hostname", 0o644),
    ("etc/hosts", 0o644),
    ("etc/resolv.conf", 0o644),
)
_LINKS = (("etc/mtab", "/proc/mounts"),)


def make_base(path: str) -> None:
    """Make the directory `path` with all that belongs there, unless someone was faster."""
    draft = f"{path}.{posix.urandom(8).hex()}"
    for name in ("", *_DIRECTORIES):
        posix.mkdir(f"{draft}/{name}", 0o755)
        posix.chmod(f"{draft}/{name}", 0o755)  # whatever the umask is
    for name, mode in _FILES:
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
        descriptor = posix.open(f"{draft}/{name}", flags, mode)
        posix.fchmod(descriptor, mode)
        posix.close(descriptor)
    for name, target in _LINKS:
        posix.symlink(target, f"{draft}/{name}")
    try:
        posix.rename(draft, path)
    except OSError as error:
        remove_tree(draft)
        if error.errno not in (EEXIST, ENOTEMPTY):
            raise
