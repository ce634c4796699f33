"""The process that runs the containers of a build's steps, one after another.

A fresh interpreter with one thread and a mount namespace of its own: what it mounts is seen by
nobody else, and gone with it. It gets jobs by the channel on descriptor 3; where that ends, whoever
asked is gone, and so is the container.
"""

from __future__ import annotations

import posix
import select
from errno import ENOENT

from proa.kernel.mount import MS_PRIVATE, MS_REC, OPEN_TREE_CLONE, attach, mount, open_tree
from proa.kernel.path import AT_RECURSIVE, open_in_root
from proa.lean.channel import Channel
from proa.monitor.prepare import apply_user
from proa.monitor.supervise import reap
from proa.runtime.container import Container, Stdio
from proa.snapshot.choose import choose_snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANNEL = 3
_CLONE_NEWNS = 0x2_0000
_CANCELED = 137


def main() -> None:
    """Do jobs until there is nobody any more who has some; never returns."""
    from proa.monitor.control import describe
    from proa.monitor.main import _ignore_terminal

    channel = Channel.of_descriptor(CHANNEL)
    _ignore_terminal()
    posix.chdir("/")
    posix.umask(0o022)
    is_private = False
    while (received := channel.receive()) is not None:
        job, descriptors = received
        try:
            if not is_private:
                _make_private()
                is_private = True
            channel.send({"exited": _run(channel, job, descriptors)})
        except BaseException as error:
            channel.send(describe(error))
    posix._exit(0)


def _make_private() -> None:
    from proa.kernel.libc import function

    function("unshare", "i", "i")(_CLONE_NEWNS)
    mount(None, "/", None, MS_REC | MS_PRIVATE)


def _run(channel: Channel, job: dict[str, Any], descriptors: list[int]) -> int:
    """Run one container to its end; its exit code.

    Descriptors: its standard output and standard error, then the contents of secrets.
    """
    directory: str = job["directory"]
    spec: dict[str, Any] = job["spec"]
    snapshots = choose_snapshots(job["root"])
    opened = list(descriptors)
    sources: dict[str, int] = {}
    attached: list[str] = []
    try:
        rootfs = snapshots.mount(f"{directory}/snapshot", job["layers"])
        opened.append(rootfs)
        for number, view in enumerate(job["views"]):
            path = f"{directory}/view-{number}"
            posix.mkdir(path, 0o700)
            sources[view["target"]] = _view(snapshots, view, path, attached)
        if job["secrets"]:
            place = f"{directory}/secrets"
            posix.mkdir(place, 0o700)
            mount("tmpfs", place, "tmpfs", 0, "mode=0700")
            attached.append(place)
            for number, secret in enumerate(job["secrets"]):
                sources[secret["target"]] = _secret(
                    f"{place}/{number}", secret, descriptors[2 + number]
                )
        apply_user(rootfs, spec["process"], job["user"], ())
        null = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        opened.append(null)
        stubs = _missing(rootfs, job["targets"])
        container = Container.create(
            job["id"],
            spec,
            root=f"{job['root']}/run/oci",
            bundle=directory,
            stdio=Stdio(null, descriptors[0], descriptors[1]),
            rootfs=rootfs,
            sources=sources,
            run=True,
            cache=f"{job['root']}/cache",
        )
        # the end of its output is the end of its last process
        posix.close(opened.pop(0))
        posix.close(opened.pop(0))
        try:
            exit_code = _wait(channel, container)
        finally:
            container.delete(force=True)
        _remove_stubs(rootfs, stubs)
        return exit_code
    finally:
        for descriptor in (*opened, *sources.values()):
            posix.close(descriptor)
        for path in attached:
            _unmount(path)


def _wait(channel: Channel, container: Container) -> int:
    poll = select.poll()
    poll.register(container.pidfd, select.POLLIN)
    poll.register(channel.fileno(), select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == container.pidfd:
                return reap(container.pid)
            # it is not wanted any more, or there is nobody any more to want it
            container.kill(9)
            reap(container.pid)
            received = channel.receive()
            if received is None:
                container.delete(force=True)
                posix._exit(0)
            return _CANCELED


def _view(snapshots: Any, view: dict[str, Any], path: str, attached: list[str]) -> int:
    """A detached mount of a path in the layers of another step.

    A mount can be cloned only where it is attached.
    """
    if view["writable"]:
        snapshots.prepare(f"{path}-upper", view["layers"])
        root = snapshots.mount(f"{path}-upper", view["layers"])
    else:
        root = snapshots.view(view["layers"])
    try:
        attach(root, path)
        attached.append(path)
        try:
            place = open_in_root(root, view["source"] or "/", posix.O_PATH)
        except OSError as error:
            if error.errno == ENOENT:
                from proa.errors import NotFound

                raise NotFound(
                    f"no such file to mount at {view['target']}: {view['source']}"
                ) from None
            raise
        try:
            return open_tree(place, "", OPEN_TREE_CLONE | AT_RECURSIVE)
        finally:
            posix.close(place)
    finally:
        posix.close(root)


def _secret(path: str, secret: dict[str, Any], content: int) -> int:
    """A detached mount of a file in memory with a secret in it."""
    file = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC, 0o600)
    try:
        offset = 0
        while data := posix.pread(content, 1 << 16, offset):
            offset += posix.write(file, data)
        posix.fchown(file, secret["uid"], secret["gid"])
        posix.fchmod(file, secret["mode"])
    finally:
        posix.close(file)
    place = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return open_tree(place, "", OPEN_TREE_CLONE)
    finally:
        posix.close(place)


def _missing(rootfs: int, targets: list[str]) -> list[tuple[str, int, list[str]]]:
    """Which paths are made for the sake of a mount alone, deepest first.

    With each what its directory was like before: its time and the names in it.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    for target in targets:
        parts = [part for part in target.split("/") if part]
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            try:
                posix.close(open_in_root(rootfs, path, posix.O_PATH))
            except OSError:
                found.setdefault(path, _look(rootfs, "/".join(parts[: depth - 1])))
    return [(path, *found[path]) for path in sorted(found, key=lambda path: -path.count("/"))]


def _look(rootfs: int, path: str) -> tuple[int, list[str]]:
    try:
        directory = open_in_root(rootfs, path or "/", posix.O_RDONLY | posix.O_DIRECTORY)
    except OSError:
        return 0, []
    try:
        return posix.fstat(directory).st_mtime_ns, sorted(posix.listdir(directory))
    finally:
        posix.close(directory)


def _remove_stubs(rootfs: int, stubs: list[tuple[str, int, list[str]]]) -> None:
    """Remove what was made to mount something on, as long as nobody has put anything there."""
    for path, mtime, names in stubs:
        parent, _, name = path.rpartition("/")
        try:
            directory = open_in_root(rootfs, parent or "/", posix.O_RDONLY | posix.O_DIRECTORY)
        except OSError:
            continue
        try:
            status = posix.stat(name, dir_fd=directory, follow_symlinks=False)
            if status.st_mode & 0o170000 == 0o040000:
                posix.rmdir(name, dir_fd=directory)
            elif status.st_size == 0:
                posix.unlink(name, dir_fd=directory)
            if mtime and sorted(posix.listdir(directory)) == names:
                posix.utime(directory, ns=(mtime, mtime))
        except OSError:
            continue
        finally:
            posix.close(directory)


def _unmount(path: str) -> None:
    from proa.kernel.mount import umount

    try:
        umount(path)
    except OSError:
        return
