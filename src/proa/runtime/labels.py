"""Labels of security modules for the program that is executed next."""

from __future__ import annotations

import posix
from errno import ENOENT

from proa.errors import Unsupported
from proa.runtime.place import PROC_MAGIC, file_system_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = {
    # apparmor/exec is where it is alone, or stacked with others (Linux 5.8); exec before
    "apparmor": ("/proc/thread-self/attr/apparmor/exec", "/proc/thread-self/attr/exec"),
    "selinux": ("/proc/thread-self/attr/exec",),
}


def set_labels(labels: Mapping[str, str]) -> None:
    """Write each label where its module reads it. Raises Unsupported, OSError."""
    for module, label in labels.items():
        if not _is_enabled(module):
            raise Unsupported(
                f"the label {label} cannot be set: this kernel does not run {module};"
                " take it out of the spec"
            )
        text = f"exec {label}" if module == "apparmor" else label
        descriptor = _open(_FILES[module])
        try:
            if file_system_type(descriptor) != PROC_MAGIC:
                raise Unsupported("the container's /proc is none: its label cannot be set")
            posix.write(descriptor, text.encode())
        finally:
            posix.close(descriptor)


def _is_enabled(module: str) -> bool:
    try:
        descriptor = posix.open(f"/proc/self/attr/{module}/current", posix.O_RDONLY)
    except OSError as error:
        if error.errno != ENOENT:
            return True
        return module == "selinux" and posix.access("/sys/fs/selinux/enforce", posix.F_OK)
    posix.close(descriptor)
    return True


def _open(paths: tuple[str, ...]) -> int:
    for path in paths[:-1]:
        try:
            return posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            continue
    return posix.open(paths[-1], posix.O_WRONLY | posix.O_CLOEXEC)
