"""The mounts of a container: what every one has, and what its user asked for."""

from __future__ import annotations

import posix

from proa.engine.rootless import has_single_id, is_rootless
from proa.errors import InvalidArgument, NotFound, PermissionDenied
from proa.runtime import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.engine.config import ContainerConfig, Mount

INIT_PROGRAMS = (
    "/usr/bin/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/bin/docker-init",
    "/usr/libexec/docker/docker-init",
    "/usr/bin/tini-static",
)
"""Statically linked init programs that understand `-- COMMAND`, as distributions install them."""
INIT_PATH = "/sbin/docker-init"
SHM = "/dev/shm"  # noqa: S108 - the container's
OWN_FILES = ("resolv.conf", "hostname", "hosts")


def build(config: ContainerConfig, directory: str) -> list[dict[str, Any]]:
    """The mounts in the order in which they are made; `directory` has the container's own files.

    Raises InvalidArgument, NotFound, PermissionDenied.
    """
    taken = {clean(mount.target) for mount in config.mounts}
    found = [mount for mount in _basic(config) if mount["destination"] not in taken]
    further = [
        {
            "destination": f"/etc/{name}",
            "type": "bind",
            "source": f"{directory}/{name}",
            "options": ["rbind", "rprivate"],
        }
        for name in OWN_FILES
        if f"/etc/{name}" not in taken
    ]
    if config.init and (program := init_program()) is not None:
        further.append(
            {
                "destination": INIT_PATH,
                "type": "bind",
                "source": program,
                "options": ["bind", "ro"],
            }
        )
    # the directory is ROOT/containers/ID
    root = directory.rpartition("/")[0].rpartition("/")[0]
    for mount in config.mounts:
        if mount.kind == "tmpfs":
            further.append(_tmpfs(mount))
        else:
            further.append(_bind(mount) if mount.kind == "bind" else _stored(mount, root))
    # a mount below another one comes after it
    further.sort(key=lambda mount: str(mount["destination"]).count("/"))
    return found + further


def root_propagation(config: ContainerConfig) -> str:
    """What the root file system needs for the mounts' propagation, as Docker has it; mostly ''."""
    wanted = {mount.propagation.removeprefix("r") for mount in config.mounts}
    return "shared" if "shared" in wanted else "slave" if "slave" in wanted else ""


def init_program() -> str | None:
    """The program that `--init` puts before the container's command; None where there is none."""
    return next((path for path in INIT_PROGRAMS if posix.access(path, posix.X_OK)), None)


def _basic(config: ContainerConfig) -> list[dict[str, Any]]:
    found = []
    for mount in defaults.mounts(
        shm_size=config.shm_size or defaults.SHM_SIZE, sysfs_writable=config.privileged
    ):
        if mount["destination"] == SHM:
            if config.ipc_mode == "none":
                continue
            if config.ipc_mode == "host":
                mount = _bind_of(SHM)
            elif config.ipc_mode.startswith("container:"):
                # the monitor has it from that container, which is to run by then
                mount = _bind_of(config.ipc_mode)
        if config.ipc_mode == "host" and mount["destination"] == "/dev/mqueue" and is_rootless():
            # the kernel mounts one only for who owns the ipc namespace
            if not posix.access("/dev/mqueue", posix.F_OK):
                continue  # the host has no message queues mounted: programs can do without
            mount = _of_host("/dev/mqueue")
        if config.network_mode == "host" and mount["destination"] == "/sys" and is_rootless():
            mount = _of_host("/sys", "rw" if config.privileged else "rro")
        if config.pid_mode == "host" and mount["destination"] == "/proc" and is_rootless():
            # the kernel mounts a procfs only for who owns the pid namespace
            mount = _of_host("/proc")
        if mount["destination"] == "/dev/pts" and is_rootless() and has_single_id():
            # group 5, tty, is not mapped
            kept = [option for option in mount["options"] if not option.startswith("gid=")]
            mount = {**mount, "options": kept}
        found.append(mount)
    return found


def _bind_of(source: str) -> dict[str, Any]:
    return {"destination": SHM, "type": "bind", "source": source, "options": ["bind", "rprivate"]}


def _of_host(path: str, *more: str) -> dict[str, Any]:
    return {
        "destination": path,
        "type": "bind",
        "source": path,
        "options": ["rbind", "nosuid", "noexec", "nodev", *more],
    }


def _bind(mount: Mount) -> dict[str, Any]:
    source = mount.source
    if not source.startswith("/"):
        raise InvalidArgument(f"invalid mount source {source}: it must be an absolute path")
    if not _exists(source):
        if not mount.create_source:
            raise NotFound(f"bind source path does not exist: {source}; create it first")
        _make_directories(source)
    if mount.propagation.endswith(("shared", "slave")):
        _check_propagation(source, mount.propagation)
    options = ["rbind" if mount.recursive else "bind", mount.propagation]
    if mount.read_only:
        options.append("rro" if mount.recursive_read_only else "ro")
    found = {
        "destination": clean(mount.target),
        "type": "bind",
        "source": source,
        "options": options,
    }
    if mount.map_ids:
        from proa.engine.map_ids import mappings

        found.update(mappings(mount.map_ids))
    return found


def _stored(mount: Mount, root: str) -> dict[str, Any]:
    """A volume or an image; where this is no path, the monitor opens the source.

    What leads from a volume to a part of it is a stranger's: nobody may follow it as a path.
    """
    source = f"{mount.kind}:{mount.source}/{mount.subpath}"
    if mount.kind == "volume" and not mount.subpath:
        source = f"{root}/volumes/{mount.source}/_data"
    return {
        "destination": clean(mount.target),
        "type": "bind",
        "source": source,
        "options": ["rbind", "rprivate", *(["rro"] if mount.read_only else [])],
    }


def _check_propagation(source: str, wanted: str) -> None:
    """Refuse what could have no effect: mounts come only from, or go only to, a shared mount.

    The flags of mounts are in /proc/self/mountinfo: proc_pid_mountinfo(5). Raises InvalidArgument.
    """
    import os

    from proa.kernel.mountinfo import unescape

    path = os.path.realpath(source)
    best, flags = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            place = unescape(fields[4])
            inside = path == place or path.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(best):
                best, flags = place, " ".join(fields[6 : fields.index("-")])
    if "shared:" in flags or ("master:" in flags and wanted.endswith("slave")):
        return
    kind = "a shared" if wanted.endswith("shared") else "a shared or slave"
    raise InvalidArgument(
        f"path {source} is mounted on {best} but it is not {kind} mount:"
        f" {wanted} needs 'mount --make-shared {best}' first"
    )


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
        "destination": clean(mount.target),
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }


def clean(path: str) -> str:
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
