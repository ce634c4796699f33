"""The monitor's socket: one request, one answer; `wait` and `exec` answer once more at the end."""

from __future__ import annotations

import posix

from proa.errors import ProaError, Unavailable
from proa.lean.channel import accept, listen
from proa.monitor.job import SOCKET
from proa.monitor.loop import READ
from proa.monitor.stdio import set_terminal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proa.lean.channel import Channel
    from proa.monitor.execs import Exec
    from proa.monitor.supervise import Monitor

PROTOCOL = 1


class Control:
    """Listens, and does what clients ask of the monitor."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._loop = monitor.loop
        self._listener = listen(monitor.run_directory, SOCKET)
        self._channels: dict[int, Channel] = {}
        self._waiting: dict[int, str] = {}
        self._execs: dict[int, Exec] = {}
        self._unconfirmed: dict[int, dict[str, str]] = {}
        """ends of execs that their clients are about to note as events"""
        self._operations: dict[str, Callable[[Channel, dict[str, Any], list[int]], Any]] = {
            "attach": self._attach,
            "done": self._done,
            "exec": self._exec,
            "exec-resize": self._exec_resize,
            "halt": self._halt,
            "hold": self._hold,
            "kill": self._kill,
            "network": self._network,
            "pause": self._pause,
            "record": self._record,
            "resize": self._resize,
            "restart-policy": self._restart_policy,
            "resume": self._resume,
            "running": self._running,
            "stop": self._stop,
            "update": self._update,
            "wait": self._wait,
        }
        self._loop.watch(self._listener.fileno(), READ, self._accept)

    def serve(self, channel: Channel) -> None:
        """Answer requests that come by `channel`."""
        descriptor = channel.fileno()
        self._channels[descriptor] = channel
        self._loop.watch(descriptor, READ, lambda _events: self._receive(channel))

    def wait(self, channel: Channel, condition: str) -> None:
        """Tell `channel` when the container has ended: `next-exit`, `not-running`, `removed`."""
        self._waiting[channel.fileno()] = condition

    def stop_listening(self) -> None:
        """Take no new clients."""
        if self._listener.fileno() >= 0:
            self._loop.forget(self._listener.fileno())
            self._listener.close()

    def tell_exit(self, event: str, exit_code: int, error: str = "") -> None:
        """Tell those who wait: `next-exit` for those who wait for any end, `all` for everyone."""
        for descriptor, condition in list(self._waiting.items()):
            if event not in ("all", condition):
                continue
            del self._waiting[descriptor]
            self._answer(self._channels[descriptor], {"exited": exit_code, "error": error})

    def _accept(self, _events: int) -> None:
        try:
            self.serve(accept(self._listener))
        except BlockingIOError:
            return

    def _receive(self, channel: Channel) -> None:
        try:
            received = channel.receive()
        except (ProaError, ValueError, OSError):
            received = None
        if received is None:
            self._hang_up(channel)
            return
        message, descriptors = received
        try:
            operation = self._operations.get(str(message.get("op")))
            if operation is None:
                raise Unavailable(
                    f"the container's monitor does not know {message.get('op')}: it was started by"
                    " another version of proa; restart the container"
                )
            answer = operation(channel, message, descriptors)
        except (ProaError, OSError, LookupError, ValueError, TypeError, ArithmeticError) as error:
            for descriptor in descriptors:
                _close(descriptor)
            answer = describe(error)
        if answer is not None:
            self._answer(channel, answer)

    def _answer(self, channel: Channel, answer: dict[str, Any]) -> None:
        try:
            channel.send(answer)
        except Unavailable:
            self._hang_up(channel)

    def _hang_up(self, channel: Channel) -> None:
        descriptor = channel.fileno()
        if descriptor < 0:
            return
        self._loop.forget(descriptor)
        self._channels.pop(descriptor, None)
        self._waiting.pop(descriptor, None)
        self._execs.pop(descriptor, None)
        unconfirmed = self._unconfirmed.pop(descriptor, None)
        self._monitor.let_go(descriptor)
        channel.close()
        if unconfirmed is not None:
            self._monitor.note("exec_die", unconfirmed)

    # -- operations

    def _attach(self, _channel: Channel, message: dict[str, Any], descriptors: list[int]) -> Any:
        self._monitor.running()
        self._monitor.attach(descriptors[0], message)
        self._monitor.note("attach")
        return {}

    def _wait(self, channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> None:
        self.wait(channel, str(message.get("condition", "not-running")))

    def _running(self, _channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> Any:
        return {"running": self._monitor.lives}

    def _kill(self, _channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> Any:
        self._monitor.kill(int(message["signal"]))
        return {}

    def _network(self, _channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> Any:
        from proa.monitor.network import change

        return change(self._monitor, message)

    def _stop(self, channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> None:
        self._until_end(
            channel,
            lambda: self._monitor.stop(
                int(message["signal"]),
                float(message["timeout"]),
                noted=bool(message.get("noted", True)),
            ),
        )

    def _halt(self, channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> None:
        self._until_end(channel, self._monitor.halt)

    def _until_end(self, channel: Channel, begin: Callable[[], None]) -> None:
        """Do what ends the container; the answer is its end."""
        self.wait(channel, "not-running")
        try:
            begin()
        except BaseException:
            self._waiting.pop(channel.fileno(), None)
            raise

    def _pause(self, _channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> Any:
        self._monitor.pause()
        return {}

    def _hold(self, channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> Any:
        # until the client hangs up, however it ends
        self._monitor.hold(channel.fileno())
        return {}

    def _resume(self, _channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> Any:
        self._monitor.resume()
        return {}

    def _record(self, _channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> Any:
        self._monitor.record()
        return {}

    def _resize(self, _channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> Any:
        streams = self._monitor.streams
        if streams is not None and streams.terminal >= 0:
            rows, columns = int(message["rows"]), int(message["columns"])
            set_terminal_size(streams.terminal, rows, columns)
            self._monitor.note("resize", {"height": str(rows), "width": str(columns)})
        return {}

    def _restart_policy(
        self, _channel: Channel, message: dict[str, Any], _descriptors: list[int]
    ) -> Any:
        self._monitor.set_restart(str(message["policy"]), int(message["maximum"]))
        return {}

    def _update(self, _channel: Channel, message: dict[str, Any], _descriptors: list[int]) -> Any:
        return {"warnings": self._monitor.running().update(dict(message["resources"]))}

    def _exec(self, channel: Channel, message: dict[str, Any], descriptors: list[int]) -> Any:
        from proa.monitor.execs import Exec

        def over(exit_code: int) -> None:
            descriptor = channel.fileno()
            self._execs.pop(descriptor, None)
            ended = {"execID": str(message.get("id", "")), "exitCode": str(exit_code)}
            left = bool(message.get("records")) and descriptor in self._channels
            if left:
                # it has the database at hand; where it goes away without a word, it is our affair
                self._unconfirmed[descriptor] = ended
            else:
                self._monitor.note("exec_die", ended)
            self._answer(channel, {"exited": exit_code, "left": left})

        execution = Exec(self._monitor, message, descriptors[0] if descriptors else None, over)
        self._execs[channel.fileno()] = execution
        return {"started": execution.pid}

    def _done(self, channel: Channel, _message: dict[str, Any], _descriptors: list[int]) -> None:
        self._unconfirmed.pop(channel.fileno(), None)

    def _exec_resize(
        self, channel: Channel, message: dict[str, Any], _descriptors: list[int]
    ) -> dict[str, Any] | None:
        id = str(message.get("id", ""))
        if id:
            # by somebody else than who has started it: an answer is expected
            execution = next((item for item in self._execs.values() if item.id == id), None)
        else:
            execution = self._execs.get(channel.fileno())
        if execution is not None and execution.terminal >= 0:
            set_terminal_size(execution.terminal, int(message["rows"]), int(message["columns"]))
        return {} if id else None


def describe(error: BaseException) -> dict[str, Any]:
    """An error as a message: its kind by name, and its text."""
    if isinstance(error, ProaError):
        return {"error": str(error), "kind": type(error).__name__}
    if isinstance(error, OSError):
        name = f" {error.filename}" if error.filename else ""
        return {"error": f"{error.strerror}{name}", "kind": "KernelError"}
    return {"error": f"{type(error).__name__}: {error}", "kind": "ProaError"}


def _close(descriptor: int) -> None:
    try:
        posix.close(descriptor)
    except OSError:
        return
