"""The monitor's process. It gets its job by the channel on descriptor 3.

A spawner is the same process before it has a job: it forks a monitor for each one it is given,
so that a program which starts many containers does not start many interpreters.
"""

from __future__ import annotations

import _signal
import gc
import posix
import sys

from proa.errors import ProaError
from proa.lean import bundle
from proa.lean.channel import Channel
from proa.runtime.embryo import conceive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.monitor.job import Job
    from proa.runtime.embryo import Embryo

CHANNEL = 3
SPAWNER = "spawner"
"""The argument of a process that is to be one."""


def main() -> None:
    """Wait for a job, or for jobs; never returns."""
    bundle.end()
    channel = Channel.of_descriptor(CHANNEL)
    _ignore_terminal()
    posix.chdir("/")
    posix.umask(0o022)
    try:
        if sys.argv[1:] == [SPAWNER]:
            _load()
            serve(channel, _namespace(channel))
        else:
            # before there is much in memory that would be copied
            embryo = _conceive()
            _load()
            serve(channel, _namespace(channel), embryo)
    except BaseException as error:
        _report(error)
    posix._exit(0)


def serve(channel: Channel, namespace: int | None = None, embryo: Embryo | None = None) -> None:
    """Do what comes by the channel until its end: `job` runs a container in this process.

    `namespace`: the user namespace in which an ordinary user's container runs. `embryo`: what may
    become the container's first process.
    """
    while (received := channel.receive()) is not None:
        message, descriptors = received
        if message["op"] == "job":
            _run(channel, message, descriptors, namespace, embryo)
            return
        _fork(channel, descriptors[0], namespace)


def _conceive() -> Embryo | None:
    # an ordinary user's container is born into a user namespace
    return conceive() if posix.geteuid() == 0 else None


def _load() -> None:
    bundle.load("proa.monitor.supervise")
    import proa.monitor.supervise  # noqa: F401 - used as soon as there is a job

    gc.freeze()  # what is loaded stays: it is never looked through for garbage


def _namespace(channel: Channel) -> int | None:
    """The user namespace for an ordinary user's containers; it is made while we wait for a job."""
    if posix.geteuid() == 0:
        return None
    from proa.monitor import rootless

    try:
        return rootless.make()
    except ProaError as error:
        # whoever has a job for us is told
        if channel.receive() is not None:
            channel.send({"error": str(error), "kind": type(error).__name__})
        posix._exit(1)


def _run(
    channel: Channel,
    message: dict[str, Any],
    descriptors: list[int],
    namespace: int | None,
    embryo: Embryo | None,
) -> None:
    from proa.monitor.job import from_message
    from proa.monitor.supervise import Monitor

    try:
        job = from_message(message["job"])
        if namespace is not None:
            _enter(namespace, job)
        monitor = Monitor(job, embryo)
        monitor.run(channel, descriptors[0] if descriptors else None, message.get("attach") or {})
    except BaseException as error:
        from proa.monitor.control import describe

        answer = describe(error)
        if answer["kind"] == "ProaError":
            _report(error)
        channel.send(answer)


def _enter(namespace: int, job: Job) -> None:
    """Become root of the user namespace: that of the container whose namespaces are joined, which
    belong to it, or the prepared one.
    """
    from proa.monitor import rootless

    if job.join:
        from proa.store.store import Store

        row = Store.open(job.root).containers.find(next(iter(job.join.values())))
        if pid := int(row.state.get("pid", 0)):
            posix.close(namespace)
            namespace = rootless.of_process(pid)
    rootless.join(namespace)
    posix.close(namespace)


def _fork(spawner: Channel, descriptor: int, namespace: int | None) -> None:
    """A monitor for one job, on a channel of its own; it is nobody's child soon."""
    # what a monitor imports when it needs it: here it is imported once for all
    import proa.kernel.cgroup.devices
    import proa.kernel.cgroup.v1
    import proa.kernel.cgroup.v1_resources
    import proa.kernel.cgroup.v2
    import proa.kernel.cgroup.v2_resources
    import proa.monitor.control
    import proa.runtime.cgroup_mount
    import proa.runtime.exec
    import proa.runtime.seccomp
    import proa.runtime.sysctl
    import proa.snapshot.overlay
    import proa.store.store  # noqa: F401

    if posix.fork():
        posix.close(descriptor)
        return
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    posix.setsid()
    spawner.close()
    serve(Channel.of_descriptor(descriptor), namespace, _conceive())
    posix._exit(0)


def _ignore_terminal() -> None:
    """What is typed at the terminal of whoever started us is not meant for us."""
    for signal in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM):
        _signal.signal(signal, _signal.SIG_IGN)


def _report(error: BaseException) -> None:
    """Leave a trace of what should not have happened, on standard error."""
    import traceback

    traceback.print_exception(error, file=sys.stderr)
