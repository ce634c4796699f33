"""The mounts of a container: what every one has, and what its user asked for."""

from __future__ import annotations

import posix

from proa.engine.rootless import is_rootless
from proa.errors import InvalidArgument, NotFound, PermissionDenied
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import ContainerConfig, Mount

INIT_PROGRAM = "/usr/bin/catatonit"
INIT_PATH = "/sbin/docker-init"
SHM = "/dev/shm"  # noqa: S108 - the container's
OWN_FILES = ("resolv.conf", "hostname", "hosts")


def build(config: ContainerConfig, directory: str) -> list[dict[str, Any]]:
    """The mounts in the order in which they are made; `directory` has the container's own files.

    Raises InvalidArgument, NotFound, PermissionDenied.
    """
    taken = {_clean(mount.target) for mount in config.mounts}
    found = [mount for mount in _basic(config) if mount["destination"] not in taken]
    found.extend(
        {
            "destination": f"/etc/{name}",
            "type": "bind",
            "source": f"{directory}/{name}",
            "options": ["rbind", "rprivate"],
        }
        for name in OWN_FILES
        if f"/etc/{name}" not in taken
    )
    if config.init:
        found.append(
            {
                "destination": INIT_PATH,
                "type": "bind",
                "source": INIT_PROGRAM,
                "options": ["bind", "ro"],
            }
        )
    # a mount below another one comes after it
    for mount in sorted(config.mounts, key=lambda mount: _clean(mount.target).count("/")):
        found.append(_bind(mount) if mount.kind == "bind" else _tmpfs(mount))
    return found


def _basic(config: ContainerConfig) -> list[dict[str, Any]]:
    found = []
    for mount in defaults.mounts(
        shm_size=config.shm_size or defaults.SHM_SIZE, sysfs_writable=config.privileged
    ):
        if mount["destination"] == SHM and config.ipc_mode == "none":
            continue
        if config.ipc_mode == "host" and mount["destination"] in (SHM, "/dev/mqueue"):
            if not posix.access(mount["destination"], posix.F_OK):
                continue  # the host has no message queues mounted: programs can do without
            mount = _of_host(mount["destination"])
        if config.network_mode == "host" and mount["destination"] == "/sys" and is_rootless():
            mount = _of_host("/sys")
        found.append(mount)
    return found


def _of_host(path: str) -> dict[str, Any]:
    return {
        "destination": path,
        "type": "bind",
        "source": path,
        "options": ["rbind", "nosuid", "noexec", "nodev"],
    }


def _bind(mount: Mount) -> dict[str, Any]:
    source = mount.source
    if not source.startswith("/"):
        raise InvalidArgument(f"invalid mount source {source}: it must be an absolute path")
    if not _exists(source):
        if not mount.create_source:
            raise NotFound(f"bind source path does not exist: {source}; create it first")
        _make_directories(source)
    options = ["rbind" if mount.recursive else "bind", mount.propagation]
    if mount.read_only:
        options.append("rro" if mount.recursive_read_only else "ro")
    return {
        "destination": _clean(mount.target),
        "type": "bind",
        "source": source,
        "options": options,
    }


def _tmpfs(mount: Mount) -> dict[str, Any]:
    given = {option.partition("=")[0] for option in mount.options}
    options = [
        default
        for default, opposite in (("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev"))
        if opposite not in given and default not in given
    ]
    options.extend(mount.options)
    if mount.size is not None:
        options.append(f"size={mount.size}")
    if mount.mode is not None:
        options.append(f"mode={mount.mode:o}")
    if mount.read_only:
        options.append("ro")
    return {
        "destination": _clean(mount.target),
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }


def _clean(path: str) -> str:
    """The path without `.`, `..` and doubled slashes. Raises InvalidArgument for a relative one."""
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid mount path: '{path}' must be absolute")
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise InvalidArgument("invalid mount path: the destination can't be '/'")
    return "/" + "/".join(parts)


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise PermissionDenied(f"cannot look at mount source {path}: {error.strerror}") from None
    return True


def _make_directories(path: str) -> None:
    parent = path.rstrip("/").rpartition("/")[0]
    if parent and not _exists(parent):
        _make_directories(parent)
    try:
        posix.mkdir(path, 0o755)
    except FileExistsError:
        return
    except OSError as error:
        raise PermissionDenied(f"cannot create mount source {path}: {error.strerror}") from None
