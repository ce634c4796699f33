"""A further process in a running container."""

from __future__ import annotations

import posix
import sys

from proa.errors import Conflict, KernelError
from proa.kernel import namespace, pidfd, process
from proa.kernel.cgroup.manager import join as join_cgroup
from proa.kernel.namespace import CLONE_NEWNS, CLONE_NEWPID, CLONE_PARENT, clone3, setns
from proa.lean.channel import checked, pair
from proa.lean.record import record
from proa.runtime.process import (
    LentOomScore,
    close_others,
    execute,
    set_limits,
    set_oom_score,
    set_stdio,
)
from proa.runtime.steps import Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Never

    from proa.kernel.cgroup import Cgroup
    from proa.lean.channel import Channel
    from proa.runtime.namespaces import Namespaces
    from proa.runtime.process import Execution

_KILL = 9


@record
class ExecProcess:
    """A process that was started in a container; a child of the caller."""

    pid: int
    pidfd: int
    console: int | None
    """the terminal's master"""


@record
class Entry:
    """What has to be known of the container, and of the process."""

    id: str
    pidfd: int
    """of the container's first process"""
    namespaces: Namespaces
    execution: Execution
    state: Mapping[str, Any]
    stdio: tuple[int, int, int] | None
    keep: int
    oom_score: int | None
    adopt: bool = False
    """orphans among its descendants become its children: prctl(2), PR_SET_CHILD_SUBREAPER"""


def enter(entry: Entry, cgroup: Cgroup) -> ExecProcess:
    """Start the process. Raises CommandNotFound, CommandNotExecutable, Conflict, KernelError."""
    if entry.execution.terminal:
        import proa.runtime.console
    if entry.execution.labels:
        import proa.runtime.labels  # noqa: F401
    files = cgroup.join_files()
    ours, theirs = pair()
    whole = process.owns_machine() if entry.oom_score is not None else True
    try:
        if whole:
            pid, descriptor = _clone(entry, files, theirs, ours)
        else:
            assert entry.oom_score is not None
            with LentOomScore(entry.oom_score):
                pid, descriptor = _clone(entry, files, theirs, ours)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        for file in files:
            posix.close(file)
    try:
        if entry.oom_score is not None and whole:
            set_oom_score(pid, entry.oom_score)
        in_user_namespace = bool(entry.namespaces.flags & namespace.CLONE_NEWUSER)
        if in_user_namespace:
            set_limits(entry.execution, pid)
        console = _follow(entry, ours, pid, descriptor)
    except BaseException:
        try:
            pidfd.send_signal(descriptor, _KILL)
        except ProcessLookupError:
            pass
        posix.waitpid(pid, 0)
        posix.close(descriptor)
        raise
    finally:
        ours.close()
    return ExecProcess(pid, descriptor, console)


def _clone(entry: Entry, files: tuple[int, ...], theirs: Channel, ours: Channel) -> tuple[int, int]:
    """A process in the container's pid namespace: pid and pidfd. Never returns in the child."""
    process.set_dumpable(False)
    flags = entry.namespaces.flags
    if flags & namespace.CLONE_NEWUSER:
        return _clone_by_helper(entry, files, theirs, ours)
    if not flags & CLONE_NEWPID:
        return _born(entry, files, theirs, clone3(0))
    if not process.owns_machine():
        # root of a user namespace could not return from there: setns(2)
        return _clone_by_helper(entry, files, theirs, ours)
    own = posix.open("/proc/self/ns/pid", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        _join(entry, CLONE_NEWPID)
        try:
            # the child is born there, this process stays where it is
            born = clone3(0)
        except OSError as error:
            raise Conflict(f"container {entry.id[:12]} is not running ({error.strerror})") from None
        if born[0]:
            _return(own, born)
    finally:
        posix.close(own)
    return _born(entry, files, theirs, born)


def _return(own: int, born: tuple[int, int]) -> None:
    """Have later children be born in our own pid namespace again."""
    try:
        setns(own, CLONE_NEWPID)
    except OSError:
        pidfd.send_signal(born[1], _KILL)
        posix.waitpid(born[0], 0)
        posix.close(born[1])
        raise


def _born(
    entry: Entry, files: tuple[int, ...], theirs: Channel, born: tuple[int, int]
) -> tuple[int, int]:
    if born[0] == 0:
        _be_born(entry, files, Steps(theirs), entry.namespaces.flags & ~CLONE_NEWPID)
    return born


def _clone_by_helper(
    entry: Entry, files: tuple[int, ...], theirs: Channel, ours: Channel
) -> tuple[int, int]:
    """As `_clone`, by a process that enters the user namespace first."""
    helper, helper_descriptor = clone3(0)
    if helper == 0:
        steps = Steps(theirs)
        try:
            _join(entry, entry.namespaces.flags & (namespace.CLONE_NEWUSER | CLONE_NEWPID))
            pid, _ = clone3(CLONE_PARENT)
            if pid == 0:
                steps.wait()  # until our creator knows our pid
                rest = namespace.CLONE_NEWUSER | CLONE_NEWPID
                _be_born(entry, files, steps, entry.namespaces.flags & ~rest)
            steps.tell("joined", pid=pid)
            posix._exit(0)
        except BaseException as error:
            steps.fail(error)
    posix.close(helper_descriptor)
    theirs.close()
    received = ours.receive()
    posix.waitpid(helper, 0)
    if received is None:
        raise KernelError("the process that joins the container's namespaces has died")
    pid = int(checked(received[0])["pid"])
    ours.send({})
    return pid, pidfd.pidfd_open(pid)


def _join(entry: Entry, flags: int) -> None:
    try:
        setns(entry.pidfd, flags)
    except ProcessLookupError:
        raise Conflict(f"container {entry.id[:12]} is not running") from None


def _be_born(entry: Entry, files: tuple[int, ...], steps: Steps, flags: int) -> Never:
    try:
        _set_up(entry, files, steps, flags)
    except BaseException as error:
        steps.fail(error)
    limits = not entry.namespaces.flags & namespace.CLONE_NEWUSER
    execute(entry.execution, steps, limits=limits)


def _set_up(entry: Entry, files: tuple[int, ...], steps: Steps, flags: int) -> None:
    steps.current = "join the cgroup"
    join_cgroup(files)
    process.reset_signals()
    posix.setsid()
    execution = entry.execution
    # from here on a module would be looked up in the image
    sys.path.clear()
    sys.path_importer_cache.clear()
    if entry.adopt:
        process.set_subreaper(True)
    steps.current = "join the container's namespaces"
    if flags:
        _join(entry, flags)
    in_user_namespace = bool(entry.namespaces.flags & namespace.CLONE_NEWUSER)
    if in_user_namespace:
        posix.setresgid(0, 0, 0)
        posix.setresuid(0, 0, 0)
        process.set_dumpable(False)
    assert flags & CLONE_NEWNS
    stdio = entry.stdio
    if execution.terminal:
        from proa.kernel import tty
        from proa.runtime import console

        steps.current = "make the terminal"
        root = posix.open("/", posix.O_PATH | posix.O_CLOEXEC)
        master, slave = tty.open_pair(console.open_devpts(root))
        steps.tell("terminal", (master,))
        console.take(slave, execution.size)
        stdio = (slave, slave, slave)
    user = execution.uid
    set_stdio(stdio, user if user or execution.terminal or in_user_namespace else None)
    close_others((steps.channel.fileno(),), entry.keep)


def _follow(entry: Entry, channel: Channel, pid: int, descriptor: int) -> int | None:
    """Listen to the child until its command runs; the terminal, if any."""
    console = None
    final = False
    try:
        while (received := channel.receive()) is not None:
            message, descriptors = received
            at = str(checked(message)["at"])
            final = final or at == "final"
            if at == "terminal":
                console = descriptors[0]
            elif at == "listener":
                from proa.runtime.notify import hand_over

                assert entry.execution.filter is not None
                listener = pidfd.get_descriptor(descriptor, int(message["number"]))
                hand_over(entry.execution.filter, entry.state, pid, listener)
                channel.send({})
        if not final:
            raise Conflict(f"container {entry.id[:12]} has ended; the command was not executed")
    except BaseException:
        if console is not None:
            posix.close(console)
        raise
    return console
