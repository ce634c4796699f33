"""A container's first process, before it is known what it will be.

A monitor waits for its job while whoever starts the container is still finding out what to run.
Meanwhile a process is made ready that is in new namespaces already, of the kinds that nearly every
container has, and has loaded what it will execute; only then it is told its `Birth`. It is cloned
while the monitor has little in memory: no page is copied later for what only one of them needs.

A container of other namespaces is made as `create` does it, and the embryo dies. So it does where
cgroups are of version 2: a process is born into its cgroup there, or waits some 10 ms to join it.
"""

from __future__ import annotations

import marshal
import posix

from proa.kernel import pidfd, process
from proa.kernel.namespace import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    clone3,
)
from proa.lean.channel import DESCRIPTORS, Channel, pair

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Never

    from proa.runtime.init import Birth, Handed
    from proa.runtime.namespaces import Namespaces

_KILL = 9
FLAGS = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET


class Embryo:
    """The process, and the channel by which it is told its birth and tells how far it is.

    From its birth on, all three belong to who gave it.
    """

    def __init__(self, pid: int, descriptor: int, channel: Channel) -> None:
        self.pid = pid
        self.pidfd = descriptor
        self.channel = channel
        self._born = False

    def suits(self, spaces: Namespaces, handed: Handed) -> bool:
        """Whether it can become the first process of a container that has these namespaces."""
        if spaces.clone_flags != FLAGS or spaces.joined or spaces.needs_helper:
            return False
        # it says nothing before its birth: something to receive would be its end
        return len(_descriptors(handed)) <= DESCRIPTORS and not self.channel.wait(0)

    def give_birth(self, birth: Birth, handed: Handed) -> None:
        """Let it go the way of `birth`. Raises Unavailable where it is gone."""
        from proa.lean.record import pack

        self._born = True
        counts = (len(handed.sources), len(handed.cgroup), handed.stdio is not None)
        data = marshal.dumps((pack(birth), counts, handed.start >= 0))
        self.channel.send_bytes(data, _descriptors(handed))

    def close(self) -> None:
        """Let it die, unless it was born."""
        if self._born:
            return
        self._born = True
        self.channel.close()
        # not by the end of the channel: what was forked meanwhile may hold our end of it too
        pidfd.send_signal(self.pidfd, _KILL)
        posix.close(self.pidfd)
        posix.waitpid(self.pid, 0)


def conceive() -> Embryo | None:
    """Make one; None where this process may not."""
    ours, theirs = pair()
    # as in `create`: nobody in a namespace that it shares may look into it
    process.set_dumpable(False)
    try:
        pid, descriptor = clone3(FLAGS)
    except OSError:
        ours.close()
        theirs.close()
        return None
    if pid == 0:
        _grow(theirs)
    theirs.close()
    return Embryo(pid, descriptor, ours)


def _grow(channel: Channel) -> Never:
    """Get ready, wait for the birth, and go its way."""
    try:
        kept = channel.fileno()
        process.close_range(3, kept - 1)
        process.close_range(kept + 1)
        _load()
        received = channel.receive_bytes()
        if received is not None:
            _be_born(channel, *received)
    finally:
        posix._exit(1)


def _load() -> None:
    from proa.lean import bundle

    bundle.load(__name__)
    import proa.lean.record
    import proa.runtime.cgroup_mount
    import proa.runtime.devices
    import proa.runtime.hidden
    import proa.runtime.init
    import proa.runtime.mounts
    import proa.runtime.rootfs
    import proa.runtime.sysctl  # noqa: F401

    bundle.save()


def _be_born(channel: Channel, data: bytes, descriptors: list[int]) -> Never:
    from proa.lean.record import unpack
    from proa.runtime.init import Handed, be_born
    from proa.runtime.steps import Steps

    packed, (sources, cgroup, has_stdio), has_start = marshal.loads(data)  # noqa: S302 - our creator
    birth: Birth = unpack(packed)
    root, *rest = descriptors
    start = rest.pop() if has_start else -1
    stdio = (rest[-3], rest[-2], rest[-1]) if has_stdio else None
    be_born(
        birth,
        Handed(
            root=root,
            sources=tuple(rest[:sources]),
            cgroup=tuple(rest[sources : sources + cgroup]),
            joined={},
            stdio=stdio,
            start=start,
        ),
        Steps(channel),
    )


def _descriptors(handed: Handed) -> tuple[int, ...]:
    start = (handed.start,) if handed.start >= 0 else ()
    return (handed.root, *handed.sources, *handed.cgroup, *(handed.stdio or ()), *start)
