"""The last stretch of every process in a container: identity, rights, filter, execve.

The first process and those of `exec` both end here. What can be found out before is found out by
`plan`, in the creator, where it is no harm to fail.
"""

from __future__ import annotations

import fcntl
import posix
from errno import EACCES, EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOEXEC, ENOTDIR, EPERM

from proa.errors import CommandNotExecutable, CommandNotFound, InvalidArgument, KernelError
from proa.kernel import capability, process
from proa.kernel.capability import Capabilities, to_bits
from proa.kernel.seccomp import NEW_LISTENER, install
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Never

    from proa.runtime.seccomp import Filter
    from proa.runtime.steps import Steps

_NOT_THERE = (ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record
class Execution:
    """A process of a container, as data."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int
    capabilities: Capabilities
    no_new_privileges: bool
    limits: tuple[tuple[str, int, int], ...]
    filter: Filter | None
    terminal: bool
    size: tuple[int, int] | None
    """rows and columns of the terminal"""
    labels: Mapping[str, str]
    """security module → label of the process after execve"""
    settings: Mapping[str, Any]
    """scheduler, ioPriority, personality, as in the spec; mostly empty"""


def plan(spec: Mapping[str, Any], linux: Mapping[str, Any], filter: Filter | None) -> Execution:
    """The process of `spec` (OCI's process object). Raises InvalidArgument."""
    arguments = tuple(spec.get("args") or ())
    if not arguments:
        raise InvalidArgument("the spec has no process.args: nothing to execute")
    directory = str(spec.get("cwd") or "")
    if not directory.startswith("/"):
        raise InvalidArgument(f"process.cwd must be an absolute path, not {directory!r}")
    user = spec.get("user") or {}
    sets = spec.get("capabilities") or {}
    labels = {}
    if profile := spec.get("apparmorProfile"):
        labels["apparmor"] = str(profile)
    if label := spec.get("selinuxLabel"):
        labels["selinux"] = str(label)
    settings = {name: spec[name] for name in ("scheduler", "ioPriority") if spec.get(name)}
    if linux.get("personality"):
        settings["personality"] = linux["personality"]
    size = spec.get("consoleSize")
    umask = user.get("umask")
    limits = spec.get("rlimits") or ()
    return Execution(
        arguments=arguments,
        environment=_environment(spec.get("env") or ()),
        directory=directory,
        uid=int(user.get("uid") or 0),
        gid=int(user.get("gid") or 0),
        groups=tuple(int(gid) for gid in user.get("additionalGids") or ()),
        umask=0o022 if umask is None else int(umask),
        capabilities=Capabilities(
            **{name: _known(sets.get(name) or ()) for name in _SETS},
        ),
        no_new_privileges=bool(spec.get("noNewPrivileges")),
        limits=tuple((str(item["type"]), int(item["soft"]), int(item["hard"])) for item in limits),
        filter=filter,
        terminal=bool(spec.get("terminal")),
        size=(int(size["height"]), int(size["width"])) if size else None,
        labels=labels,
        settings=settings,
    )


_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def _known(names: Any) -> int:
    """The bits of the named capabilities.

    The spec wants those that cannot be mapped to a kernel's to be no error, but a name that
    nobody ever gave is a mistake.
    """
    return to_bits(str(name) for name in names)


def _environment(items: Any) -> dict[str, str]:
    """As execve takes it: the last of two values counts, what has no `=` is no variable."""
    found = {}
    for item in items:
        name, separator, value = str(item).partition("=")
        if separator and name:
            found[name] = value
        if "\0" in item:
            raise InvalidArgument(f"the environment variable {name!r} holds a NUL byte")
    return found


def set_stdio(stdio: tuple[int, int, int] | None, owner: int | None) -> None:
    """Put the three descriptors to 0, 1 and 2; `owner`: the user who may open them again."""
    if stdio is not None:
        # one that is below 3 could be overwritten before its turn comes
        raised = [
            fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3) if number < 3 else number
            for number in stdio
        ]
        for number, descriptor in enumerate(raised):
            posix.dup2(descriptor, number, inheritable=True)
    if owner is None:
        return
    for number in (0, 1, 2):
        try:
            status = posix.fstat(number)
            # the null device is everyone's already
            if status.st_uid != owner and status.st_rdev != _NULL:
                posix.fchown(number, owner, -1)
        except OSError as error:
            if error.errno not in (EINVAL, EPERM, 9, 30):
                raise


_NULL = posix.makedev(1, 3)


def execute(
    execution: Execution,
    steps: Steps,
    *,
    limits: bool,
    wait: Callable[[], None] | None = None,
    stay: Callable[[Steps, tuple[str, ...]], None] | None = None,
) -> Never:
    """Become what `execution` says; the calling process's root directory is the container's.

    `limits`: whether resource limits are
    still to be set. `wait`: returns when the process is to be executed. `stay`: returns in a child
    that is to be executed instead. Never raises: a failure is reported.
    """
    try:
        _execute(execution, steps, limits, wait, stay)
    except BaseException as error:
        steps.fail(error)


def _execute(
    execution: Execution,
    steps: Steps,
    limits: bool,
    wait: Callable[[], None] | None,
    stay: Callable[[Steps, tuple[str, ...]], None] | None,
) -> Never:
    process.reset_signals()
    _configure(execution, steps)
    if limits:
        steps.current = "set the resource limits"
        set_limits(execution, 0)
    steps.current = f"change to the working directory {execution.directory}"
    entered = _enter(execution.directory, EACCES)
    steps.current = "set no_new_privs"
    if execution.no_new_privileges:
        process.set_no_new_privileges()
    elif execution.filter is not None:
        # without no_new_privs it takes CAP_SYS_ADMIN, which is about to go
        steps.current = "install the seccomp filter"
        _install(execution.filter, steps)
    _drop(execution, steps)
    if not entered:
        steps.current = f"change to the working directory {execution.directory}"
        _enter(execution.directory, None)
    posix.umask(execution.umask)
    if wait is not None:
        _find(execution)
        wait()
    steps.tell("final")
    if execution.no_new_privileges and execution.filter is not None:
        steps.current = "install the seccomp filter"
        _install(execution.filter, steps)
    if stay is not None:
        steps.current = "start the command below its init"
        stay(steps, execution.arguments)
    _run(execution)


def close_others(kept: tuple[int, ...], keep: int) -> None:
    """Close all descriptors but 0, 1, 2, `keep` more, and `kept`, which execve closes.

    Not left to execve: a working directory or a command of the image's may lead to an open
    directory of the host by way of /proc/self/fd (CVE-2024-21626).
    """
    first = 3 + keep
    for descriptor in sorted(kept):
        if descriptor >= first:
            process.close_range(first, descriptor - 1)
            first = descriptor + 1
    process.close_range(first)
    for descriptor in range(3, 3 + keep):
        try:
            posix.set_inheritable(descriptor, descriptor not in kept)
        except OSError:
            continue


def set_limits(execution: Execution, pid: int) -> None:
    """Set the resource limits of `pid` (0: this process). Raises KernelError."""
    for name, soft, hard in execution.limits:
        try:
            process.set_limit(name, soft, hard, pid=pid)
        except OSError as error:
            advice = ""
            if error.errno == EPERM:
                advice = "; raising the hard limit takes CAP_SYS_RESOURCE, which this process lacks"
            raise KernelError(
                f"cannot set {name} to {soft}:{hard}: {(error.strerror or '').lower()}{advice}"
            ) from None


def set_oom_score(pid: int, score: int) -> bool:
    """Set how readily the kernel kills `pid` where memory runs out, -1000 to 1000.

    False where that is not allowed. Raises KernelError.
    """
    try:
        descriptor = posix.open(f"/proc/{pid}/oom_score_adj", posix.O_WRONLY | posix.O_CLOEXEC)
    except PermissionError:
        return False  # nobody but root of the machine may touch a process that is undumpable
    try:
        posix.write(descriptor, str(score).encode())
    except PermissionError:
        return False
    except OSError as error:
        raise KernelError(
            f"cannot set the OOM score of process {pid} to {score}:"
            f" {(error.strerror or '').lower()}; say -1000 to 1000"
        ) from None
    finally:
        posix.close(descriptor)
    return True


def oom_score_refused(score: int) -> str:
    """Why that score could not be set, as a warning."""
    return f"oomScoreAdj {score} was not applied: to lower it takes CAP_SYS_RESOURCE"


class LentOomScore:
    """Gives this process a score while a child is born, which keeps it: a context manager.

    Back to its own score a process may go without CAP_SYS_RESOURCE: that is not below the least
    that root has ever given it (proc_pid_oom_score_adj(5)). `refused`: warnings.
    Raises KernelError.
    """

    def __init__(self, score: int) -> None:
        self.refused: list[str] = []
        self._score = score
        self._descriptor = -1
        self._own = b""

    def __enter__(self) -> LentOomScore:
        # an undumpable process's files in /proc are the machine's root's
        process.set_dumpable(True)
        self._descriptor = posix.open("/proc/self/oom_score_adj", posix.O_RDWR | posix.O_CLOEXEC)
        self._own = posix.read(self._descriptor, 16)
        try:
            posix.pwrite(self._descriptor, str(self._score).encode(), 0)
        except PermissionError:
            self.refused.append(oom_score_refused(self._score))
        except OSError as error:
            posix.close(self._descriptor)
            raise KernelError(
                f"cannot set the OOM score to {self._score}:"
                f" {(error.strerror or '').lower()}; say -1000 to 1000"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        try:
            posix.pwrite(self._descriptor, self._own, 0)
        except OSError:
            pass  # we are easier to kill from now on
        posix.close(self._descriptor)


def _configure(execution: Execution, steps: Steps) -> None:
    if execution.labels:
        from proa.runtime.labels import set_labels

        steps.current = "set the security label"
        set_labels(execution.labels)
    if not execution.settings:
        return
    settings = execution.settings
    if scheduler := settings.get("scheduler"):
        steps.current = "set the scheduler"
        process.set_scheduler(
            str(scheduler.get("policy") or "SCHED_OTHER"),
            nice=int(scheduler.get("nice") or 0),
            priority=int(scheduler.get("priority") or 0),
            flags=scheduler.get("flags") or (),
            runtime=int(scheduler.get("runtime") or 0),
            deadline=int(scheduler.get("deadline") or 0),
            period=int(scheduler.get("period") or 0),
        )
    if io_priority := settings.get("ioPriority"):
        steps.current = "set the I/O priority"
        process.set_io_priority(str(io_priority["class"]), int(io_priority.get("priority") or 0))
    if personality := settings.get("personality"):
        steps.current = "set the personality"
        process.set_personality(str(personality.get("domain")))


def _enter(directory: str, later: int | None) -> bool:
    """Change the directory; False for the error number `later`, to be tried again."""
    try:
        posix.chdir(directory)
    except OSError as error:
        if error.errno == later:
            return False
        raise
    if directory != "/":
        try:
            posix.getcwd()
        except FileNotFoundError:
            raise KernelError(
                f"the working directory {directory} lies outside of the container; it was refused"
            ) from None
    return True


def _drop(execution: Execution, steps: Steps) -> None:
    """Take on the identity and the capabilities."""
    wanted = execution.capabilities
    steps.current = "limit the bounding set of capabilities"
    capability.limit_bounding(wanted.bounding)
    steps.current = f"become user {execution.uid}:{execution.gid}"
    if execution.uid:
        process.keep_capabilities(True)
    try:
        posix.setgroups(execution.groups)
    except PermissionError:
        # a user namespace whose creator could not be allowed it (user_namespaces(7))
        if set(execution.groups) - {execution.gid}:
            raise
    try:
        posix.setresgid(execution.gid, execution.gid, execution.gid)
        posix.setresuid(execution.uid, execution.uid, execution.uid)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        raise KernelError(
            f"cannot become user {execution.uid}:{execution.gid}: the container's user namespace"
            " does not have that id; /etc/subuid and /etc/subgid grant an ordinary user more"
        ) from None
    if execution.uid:
        process.keep_capabilities(False)
    steps.current = "set the capabilities"
    permitted = wanted.permitted
    try:
        capability.set_effective(wanted.effective, permitted, wanted.inheritable)
    except PermissionError:
        # what this engine does not have it cannot give: as runc, without it
        own = capability.get().permitted
        capability.set_effective(
            wanted.effective & permitted & own, permitted & own, wanted.inheritable & own
        )
    capability.clear_ambient()
    if wanted.ambient:
        capability.raise_ambient(wanted.ambient)


def _install(filter: Filter, steps: Steps) -> None:
    listener = install(filter.program, filter.flags)
    if filter.flags & NEW_LISTENER and listener is not None:
        steps.tell("listener", number=listener)
        steps.wait()
        posix.close(listener)


def candidates(execution: Execution) -> tuple[str, ...]:
    """The paths at which the command may be: execvp(3)."""
    command = execution.arguments[0]
    if "/" in command:
        return (command,)
    path = execution.environment.get("PATH", PATH)
    return tuple(f"{entry or '.'}/{command}" for entry in path.split(":"))


def _find(execution: Execution) -> None:
    """See early whether there is something to execute, as it would be by `_run`."""
    refused = None
    for path in candidates(execution):
        try:
            mode = posix.stat(path).st_mode
        except OSError as error:
            refused = refused or (error if error.errno not in _NOT_THERE else None)
            continue
        if mode & 0o170000 == 0o100000 and posix.access(path, posix.X_OK, effective_ids=True):
            return
        refused = OSError(EACCES, posix.strerror(EACCES), path)
    raise _explain(execution, refused)


def _run(execution: Execution) -> Never:
    refused = None
    for path in candidates(execution):
        try:
            posix.execve(path, execution.arguments, execution.environment)
        except OSError as error:
            error.filename = path
            if error.errno not in _NOT_THERE:
                refused = error
                if error.errno != EACCES:
                    break
    raise _explain(execution, refused)


def _explain(execution: Execution, refused: OSError | None) -> Exception:
    command = execution.arguments[0]
    if refused is not None:
        reason = (refused.strerror or "").lower()
        if refused.errno == EACCES and _is_directory(str(refused.filename)):
            reason = "is a directory"
        elif refused.errno == ENOEXEC:
            reason = "exec format error: neither a program for this machine nor a script with #!"
        return CommandNotExecutable(f'exec: "{command}": {reason}')
    if "/" in command:
        try:
            posix.stat(command)
        except OSError:
            return CommandNotFound(f'exec: "{command}": no such file or directory')
        return CommandNotFound(
            f'exec: "{command}": no such file or directory: its interpreter or loader is missing'
        )
    return CommandNotFound(f'exec: "{command}": executable file not found in $PATH')


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except OSError:
        return False
