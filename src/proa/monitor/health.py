"""Tells whether a container is well: runs its health check again and again, as Docker does.

The states, and what leads from one to another, are those of Docker's engine. A container is
`starting` until a check has succeeded, which makes it `healthy`, or `retries` of them in a row have
failed, which makes it `unhealthy`; failures in its start period do not count as long as it is
starting. Only a success ends being unhealthy.

A check is a further process of the container. Its output goes nowhere but into its result. It
adopts the orphans among its descendants, so that all of them are found when its time is over.
"""

from __future__ import annotations

import posix
import time

from proa.errors import Conflict, ProaError
from proa.kernel.processes import kill_tree
from proa.lean import clock
from proa.monitor import results
from proa.monitor.loop import READ
from proa.monitor.supervise import reap
from proa.runtime.container import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.monitor.loop import Timer
    from proa.monitor.supervise import Monitor
    from proa.runtime.exec import ExecProcess

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
MOST_RESULTS = 5
MOST_OUTPUT = 4096
"""Bytes of a check's output that are kept."""
_CHUNK = 16 * 1024


class Health:
    """The checks of one container.

    `wanted`: arguments; interval, timeout, start_period and start_interval in seconds; retries.
    """

    def __init__(self, monitor: Monitor, wanted: Mapping[str, Any]) -> None:
        self.status = STARTING
        self._monitor = monitor
        self._loop = monitor.loop
        self._wanted = wanted
        self._streak = 0
        self._results: list[dict[str, Any]] = results.load(monitor.directory)["Log"]
        self._began = 0.0
        self._paused = False
        self._timer: Timer | None = None
        self._check: _Check | None = None

    def begin(self) -> None:
        """The container runs: from now on it is looked after."""
        self.status = STARTING
        self._streak = 0
        self._paused = False
        self._began = time.monotonic()
        self._save()
        self._wait()

    def pause(self) -> None:
        """The container is frozen, and with it a check that runs: its time stands still."""
        self._paused = True
        self._loop.cancel(self._timer)
        self._timer = None

    def resume(self) -> None:
        """It goes on."""
        self._paused = False
        if self._check is None:
            self._wait()
        else:
            self._limit()

    def end(self) -> None:
        """The container has ended: it is well no more."""
        self.pause()
        if self._check is not None:
            self._check.abandon()
            self._check = None
        self.status = UNHEALTHY
        self._save()

    def _wait(self) -> None:
        if self._paused:
            return  # that check had ended before
        wanted = self._wanted
        early = self.status == STARTING and self._age() < wanted["start_period"]
        seconds = wanted["start_interval"] if early else wanted["interval"]
        self._timer = self._loop.after(seconds, self._probe)

    def _age(self) -> float:
        return time.monotonic() - self._began

    def _probe(self) -> None:
        self._timer = None
        age, start = self._age(), clock.now()

        def over(exit_code: int, output: str) -> None:
            self._loop.cancel(self._timer)
            self._timer = self._check = None
            result = {
                "Start": start,
                "End": clock.now(),
                "ExitCode": exit_code,
                "Output": output,
            }
            self._take(result, age)
            self._wait()

        try:
            self._check = _Check(self._monitor, self._wanted["arguments"], over)
        except (ProaError, OSError) as error:
            over(-1, str(error))
        else:
            self._limit()

    def _limit(self) -> None:
        self._timer = self._loop.after(self._wanted["timeout"], self._end_late)

    def _end_late(self) -> None:
        self._timer = None
        if self._check is not None:
            self._check.end(f"Health check exceeded timeout ({_words(self._wanted['timeout'])})")

    def _take(self, result: dict[str, Any], age: float) -> None:
        """Count a result; `age`: seconds the container had run when its check began."""
        self._results = [*self._results, result][-MOST_RESULTS:]
        status = self.status
        if result["ExitCode"] == 0:
            self._streak = 0
            self.status = HEALTHY
        elif status != STARTING or age >= self._wanted["start_period"]:
            self._streak += 1
            if self._streak >= self._wanted["retries"]:
                self.status = UNHEALTHY
        self._save()
        if self.status != status:
            self._monitor.note_health(self.status)

    def _save(self) -> None:
        results.save(self._monitor.directory, self._streak, self._results)


class _Check:
    """One check that runs. `over` is called with its exit code and output when it has ended."""

    def __init__(self, monitor: Monitor, arguments: list[str], over: Any) -> None:
        self._loop = monitor.loop
        self._over = over
        self._output = bytearray()
        self._cut = False
        self._late = ""
        null = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        self._pipe, end = posix.pipe2(posix.O_CLOEXEC)
        try:
            container = monitor.running()
            if container.cgroup.frozen():
                # by somebody else than us: it would freeze on joining the cgroup, and we with it
                raise Conflict(f"container {monitor.job.id[:12]} is frozen")
            first = container.spec["process"]
            own = {
                "args": arguments,
                "cwd": first["cwd"],
                "env": first.get("env") or [],
                "user": first["user"],
            }
            stdio = Stdio(null, end, end)
            self._process: ExecProcess = container.exec(own, stdio, adopt_orphans=True)
        except BaseException:
            posix.close(self._pipe)
            raise
        finally:
            posix.close(null)
            posix.close(end)
        posix.set_blocking(self._pipe, False)
        self._loop.watch(self._pipe, READ, self._ready)
        self._loop.watch(self._process.pidfd, READ, self._exited)

    def end(self, reason: str) -> None:
        """Kill it, with all that it has started: it has failed for that `reason`."""
        self._late = reason
        kill_tree(self._process.pid)

    def abandon(self) -> None:
        """Forget it: its container has ended, and it with it."""
        kill_tree(self._process.pid)
        self._close()
        reap(self._process.pid)

    def _ready(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        """Take some of the output; whether there may be more of it now."""
        try:
            data = posix.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._loop.forget(self._pipe)
            return False
        room = MOST_OUTPUT - len(self._output)
        self._output += data[:room]
        self._cut = self._cut or len(data) > room
        return True

    def _exited(self, _events: int) -> None:
        while self._read():
            if self._cut:
                break  # of one that left others behind, which go on writing
        self._close()
        exit_code = reap(self._process.pid)
        text = self._output.decode("utf-8", "replace") + ("..." if self._cut else "")
        if self._late:
            self._over(-1, f"{self._late}: {text}" if text else self._late)
        else:
            self._over(exit_code, text)

    def _close(self) -> None:
        for descriptor in (self._pipe, self._process.pidfd):
            self._loop.forget(descriptor)
            posix.close(descriptor)


def _words(seconds: float) -> str:
    """A duration as Go writes it: 30s, 1m30s, 500ms."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (
        (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:g}s"
    )
