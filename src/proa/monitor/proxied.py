"""Starts the process that serves published ports where the host's INPUT rules are to apply."""

from __future__ import annotations

import _signal
import posix

from proa.lean import json
from proa.lean.channel import pair
from proa.runtime.interpreter import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.lean.channel import Channel

_CHANNEL, _FIRST = 3, 4


class Proxy:
    """The process; where its monitor is killed it ends by itself."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self._pid = pid
        self._channel = channel

    def close(self) -> None:
        """End it: its ports are free afterwards."""
        self._channel.close()
        posix.kill(self._pid, _signal.SIGKILL)
        posix.waitpid(self._pid, 0)


def start(ports: Sequence[tuple[int, tuple[str, str, int]]]) -> Proxy:
    """A proxy for sockets that listen: (descriptor, (protocol, address, port of the container)).

    Raises KernelError.
    """
    ours, theirs = pair()
    try:
        descriptors = {_CHANNEL: theirs.fileno()}
        descriptors |= {_FIRST + index: item[0] for index, item in enumerate(ports)}
        plan = [[_FIRST + index, *item[1]] for index, item in enumerate(ports)]
        arguments = (json.dumps(plan),)
        pid = spawn("proa.monitor.proxy", arguments, descriptors=descriptors, session=True)
    finally:
        theirs.close()
    return Proxy(pid, ours)
