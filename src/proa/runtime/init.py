"""A container's first process, from its birth in new namespaces to the command it executes.

It puts its own file system together, so what it mounts is seen by nobody else. Until pivot_root
the host's files are there by their paths; after it, nothing may be imported any more: the module
would be the image's.
"""

from __future__ import annotations

import _socket
import posix
import sys

from proa.kernel import mount, process
from proa.kernel.cgroup.manager import join as join_cgroup
from proa.kernel.interface import set_up
from proa.kernel.namespace import CLONE_NEWCGROUP, setdomainname, sethostname, unshare
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE
from proa.lean.channel import accept
from proa.lean.record import record
from proa.runtime import namespaces
from proa.runtime.place import Place
from proa.runtime.process import close_others, execute, set_stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Never

    from proa.runtime.namespaces import Namespaces
    from proa.runtime.process import Execution
    from proa.runtime.rootfs import Plan
    from proa.runtime.steps import Steps

PROPAGATION = {
    "": mount.MS_SLAVE,
    "slave": mount.MS_SLAVE,
    "rslave": mount.MS_SLAVE,
    "private": mount.MS_PRIVATE,
    "rprivate": mount.MS_PRIVATE,
    "shared": mount.MS_SHARED,
    "rshared": mount.MS_SHARED,
    "unbindable": mount.MS_UNBINDABLE,
    "runbindable": mount.MS_UNBINDABLE,
}
"""OCI's linux.rootfsPropagation."""


@record
class Birth:
    """What the first process needs to know; it was all found out by its creator."""

    id: str
    namespaces: Namespaces
    plan: Plan
    execution: Execution
    hostname: str | None
    domainname: str | None
    propagation: str
    sysctl: Mapping[str, str]
    hooks: Mapping[str, Sequence[Mapping[str, Any]]]
    state: Mapping[str, Any]
    """for hooks; without the pid"""
    run: bool
    """execute the command at once, without waiting to be started"""
    pivot: bool
    keyring: bool
    keep: int
    """descriptors from 3 on that the command inherits"""
    limits_by_creator: bool
    time_offsets: Mapping[str, Any]
    init: bool = False
    """stay as init, and have a child execute the command"""
    tells_mount_namespace: bool = False
    """the creator wants to know it: by that it finds the container's processes"""


@record
class Handed:
    """The descriptors that the first process needs."""

    root: int
    sources: tuple[int, ...]
    """detached mounts for the bind mounts of the plan"""
    cgroup: tuple[int, ...]
    """to be written by who wants to be in the cgroup"""
    joined: Mapping[str, int]
    """namespaces to join"""
    stdio: tuple[int, int, int] | None
    start: int
    """a socket that listens for who starts the container; -1: none"""


def be_born(birth: Birth, handed: Handed, steps: Steps) -> Never:
    """Go all the way. Never returns; a failure is reported to the creator."""
    stay = None
    try:
        if birth.init:
            # now: later a module would be looked up in the image
            from proa.runtime.reaper import fork

            stay = fork
        pid = _set_up(birth, handed, steps)
        limits = not birth.limits_by_creator
    except BaseException as error:
        steps.fail(error)
    wait = None
    if not birth.run or birth.hooks.get("startContainer"):
        wait = _started(birth, handed, steps, pid)
    execute(birth.execution, steps, limits=limits, wait=wait, stay=stay)


def _set_up(birth: Birth, handed: Handed, steps: Steps) -> int:
    """All that comes before the command; returns this process's pid on the host."""
    own = birth.namespaces
    if own.needs_word:
        steps.wait()  # for the mappings of ids, or until our creator knows our pid
    steps.current = "join the cgroup"
    join_cgroup(handed.cgroup)
    process.reset_signals()
    posix.setsid()
    posix.umask(0)  # the modes of what is made here are meant as they are written
    steps.current = "become root of the user namespace"
    if "user" in own.new or "user" in own.joined:
        posix.setresgid(0, 0, 0)
        posix.setresuid(0, 0, 0)
    process.set_dumpable(False)
    if handed.joined:
        steps.current = "join the namespaces"
        namespaces.join(handed.joined)
    if "cgroup" in own.new:
        steps.current = "make a cgroup namespace"
        unshare(CLONE_NEWCGROUP)
    if "network" in own.new:
        steps.current = "bring the loopback interface up"
        set_up("lo")
    if birth.keyring:
        _leave_keyring(birth.id)
    if birth.hostname is not None:
        steps.current = f"set the host name {birth.hostname}"
        sethostname(birth.hostname)
    if birth.domainname:
        steps.current = f"set the domain name {birth.domainname}"
        setdomainname(birth.domainname)
    place = Place(
        handed.root,
        sources=list(handed.sources),
        user_namespace="user" in own.new or "user" in own.joined,
    )
    if birth.tells_mount_namespace:
        steps.tell("mount-namespace", link=posix.readlink("/proc/self/ns/mnt"))
    _prepare_root(birth, handed, steps)
    for operation in birth.plan.mounts:
        steps.current = operation
        operation.execute(place)
    terminal = -1
    if birth.execution.terminal:
        steps.current = "make the terminal"
        from proa.runtime import console

        master, terminal = console.make(place)
        steps.tell("terminal", (master,))
        posix.close(master)
        console.take(terminal, birth.execution.size)
    directory = birth.execution.directory
    if directory != "/":
        steps.current = f"make the working directory {directory}"
        posix.close(_directory(place, directory))
    if birth.sysctl:
        from proa.runtime import sysctl

        steps.current = "set kernel parameters"
        sysctl.write(birth.sysctl, place)
    if birth.hooks:
        steps.tell("mounted")
    pid = int(steps.wait()["pid"])  # the cgroup's limits are set, the hooks of the creator have run
    _run_hooks(birth, "createContainer", "creating", pid)
    for operation in birth.plan.protections:
        steps.current = operation
        operation.execute(place)
    steps.current = "change the root directory"
    _change_root(birth, handed)
    stdio = handed.stdio if terminal < 0 else (terminal, terminal, terminal)
    user = birth.execution.uid
    set_stdio(stdio, user if user or terminal >= 0 or place.user_namespace else None)
    kept = [steps.channel.fileno()]
    if handed.start >= 0:
        kept.append(handed.start)
    close_others(tuple(kept), birth.keep)
    return pid


def _directory(place: Place, path: str) -> int:
    """The working directory, made where the image has none."""
    try:
        return place.open(path, posix.O_PATH | posix.O_DIRECTORY)
    except OSError:
        try:
            return place.directory(path)
        except OSError:
            # not all that is in the way is wrong: execute says what is
            return posix.dup(place.root)


def _leave_keyring(id: str) -> None:
    """The container's processes get a session keyring of their own, not that of the creator."""
    try:
        process.join_session_keyring(f"_ses.{id}")
    except OSError as error:
        if error.errno not in (38, 1):  # ENOSYS, or EPERM: a filter of the host's keeps it away
            raise


def _prepare_root(birth: Birth, handed: Handed, steps: Steps) -> None:
    """Attach the root file system on top of `/`, where nothing of it reaches the host."""
    steps.current = "cut the mounts off from the host's"
    propagation = PROPAGATION[birth.propagation]
    if propagation == mount.MS_SHARED:
        mount.mount_setattr(AT_FDCWD, "/", propagation=propagation, flags=AT_RECURSIVE)
        # pivot_root wants it, and what is mounted over it is not the host's business
        mount.mount_setattr(AT_FDCWD, "/", propagation=mount.MS_PRIVATE)
    else:
        mount.mount_setattr(AT_FDCWD, "/", propagation=mount.MS_SLAVE, flags=AT_RECURSIVE)
    steps.current = "mount the root file system"
    mount.attach(handed.root, "/")


def _change_root(birth: Birth, handed: Handed) -> None:
    posix.fchdir(handed.root)
    if birth.execution.labels:
        import proa.runtime.labels  # noqa: F401 - used later
    # from here on a module would be looked up in the image
    sys.path.clear()
    sys.path_importer_cache.clear()
    if birth.pivot:
        mount.pivot_root(".", ".")
        # the old root is on top of the new one now: pivot_root(2), NOTES
        mount.umount(".", mount.MNT_DETACH)
    else:
        posix.chroot(".")
    posix.chdir("/")
    if birth.propagation.lstrip("r") in ("shared", "slave", "unbindable", "private"):
        everything = AT_RECURSIVE if birth.propagation.startswith("r") else 0
        mount.mount_setattr(
            AT_FDCWD, "/", propagation=PROPAGATION[birth.propagation], flags=everything
        )


def _run_hooks(birth: Birth, kind: str, status: str, pid: int) -> None:
    if hooks := birth.hooks.get(kind):
        from proa.runtime.hooks import run

        run(hooks, {**birth.state, "status": status, "pid": pid})


def _started(birth: Birth, handed: Handed, steps: Steps, pid: int) -> Any:
    """Waits until someone connects to the socket; that is also who is told of failures then."""

    def wait() -> None:
        if handed.start >= 0:
            kind = _socket.SOCK_SEQPACKET
            listener = _socket.socket(_socket.AF_UNIX, kind, 0, fileno=handed.start)
            steps.tell("created")
            accepted = accept(listener)
            listener.close()
            steps.channel.close()
            steps.channel = accepted
        steps.current = "run the hooks of startContainer"
        _run_hooks(birth, "startContainer", "created", pid)

    return wait
