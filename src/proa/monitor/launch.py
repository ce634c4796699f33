"""Starts monitors: one process each, or forks of a spawner kept at hand."""

from __future__ import annotations

import posix

from proa.errors import Unavailable
from proa.lean.channel import Channel, checked, pair
from proa.monitor.job import to_message
from proa.runtime import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.monitor.job import Job

_MODULE = "proa.monitor.main"
_CHANNEL = 3
_SPAWNER = "spawner"


def prepare(*arguments: str) -> Channel:
    """Start a process that waits for its job. It ends where the channel is closed instead."""
    ours, theirs = pair()
    try:
        interpreter.spawn(
            _MODULE, arguments, descriptors={_CHANNEL: theirs.fileno()}, session=True, packages=True
        )
    finally:
        theirs.close()
    return ours


class Spawner:
    """Forks monitors from one process that has all its imports behind it.

    For programs that start several containers; one at a time talks to it. The next monitor is
    always asked for already: it is made while the caller is busy with the one before.
    """

    def __init__(self) -> None:
        self._channel = prepare(_SPAWNER)
        self._next = self._request()

    def prepare(self) -> Channel:
        """As the function of this name."""
        channel = self._next
        try:
            self._next = self._request()
        except Unavailable:
            # it was killed; the monitor that it made before lives, most likely
            self._channel.close()
            self._channel = prepare(_SPAWNER)
            self._next = self._request()
        if channel.wait(0):
            # nothing is said before there is a job: it is gone
            channel.close()
            channel, self._next = self._next, self._request()
        return channel

    def close(self) -> None:
        """Let the process end; the monitors that have a container stay."""
        self._channel.close()
        self._next.close()

    def _request(self) -> Channel:
        ours, theirs = pair()
        try:
            self._channel.send({"op": "fork"}, [theirs.fileno()])
        except Unavailable:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours


def start(
    channel: Channel, job: Job, *, stream: int | None = None, attach: dict[str, Any] | None = None
) -> tuple[str, ...]:
    """Give a prepared monitor its job; returns what could not be applied, in words.

    `stream`: the monitor's end of a byte stream that is attached before the first byte, as
    `attach` says. Further requests can go by `channel` afterwards.
    Raises what the start raised in the monitor.
    """
    message = {"op": "job", "job": to_message(job), "attach": attach or {}}
    channel.send(message, [stream] if stream is not None else [])
    answer = channel.receive()
    if answer is None:
        raise Unavailable(f"the monitor of container {job.id[:12]} died while it started it")
    return tuple(checked(answer[0])["warnings"])


def reap_ended() -> None:
    """Collect monitors of this process's that have ended: they are its children."""
    try:
        while posix.waitpid(-1, posix.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
