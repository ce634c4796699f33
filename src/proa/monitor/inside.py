"""Single tasks in the user namespace, for a process of an ordinary user that stays outside.

Most of what an engine does needs no rights: it reads and writes its own files and talks to
monitors. What makes or removes files of subordinate users does. A process with one thread can
enter for it; any other one has it done here, by a process of its own that has entered.
"""

from __future__ import annotations

import posix
import sys

from proa.errors import Unavailable
from proa.lean.channel import Channel, checked, pair
from proa.monitor.rootless import enter, join, of_process
from proa.runtime import interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_MODULE = "proa.monitor.inside"
_CHANNEL = 3


def call(
    function: str,
    arguments: dict[str, Any],
    descriptors: Sequence[int] = (),
    *,
    join: int = 0,
    meanwhile: Callable[[], None] | None = None,
    notify: Callable[[Any], None] | None = None,
) -> Any:
    """Call `function` (`module:name`) in the user namespace, with arguments that JSON can say.

    The function gets them by name, `descriptors` as a list of that name if there are any, and
    with `notify` a function of that name, whose argument arrives here. `join`: work in the user
    namespace of that process of a container, which alone lets it be looked into. `meanwhile` is
    called while it works, when it has the descriptors. Returns what it returns; raises what it
    raises, of the kinds of proa.errors.
    """
    ours, theirs = pair()
    try:
        pid = interpreter.spawn(
            _MODULE,
            descriptors={_CHANNEL: theirs.fileno()},
            environment=_environment(),
            packages=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    try:
        message = {
            "call": function,
            "arguments": arguments,
            "notify": notify is not None,
            "join": join,
        }
        ours.send(message, descriptors)
        if meanwhile is not None:
            meanwhile()
        return _result(ours, function, notify)
    finally:
        # it ends where nobody listens any more
        ours.close()
        try:
            posix.waitpid(pid, 0)
        except ChildProcessError:
            pass  # the program ignores SIGCHLD, or waits for all children


def _result(channel: Channel, function: str, notify: Callable[[Any], None] | None) -> Any:
    while (received := channel.receive()) is not None:
        message = checked(received[0])
        if "result" in message:
            return message["result"]
        if notify is not None:
            notify(message["notice"])
    raise Unavailable(f"the process in the user namespace died during {function}")


def main() -> None:
    """Do what comes by the channel; never returns."""
    channel = Channel.of_descriptor(_CHANNEL)
    try:
        received = channel.receive()
        if received is None:
            posix._exit(0)
        message, descriptors = received
        _enter(int(message["join"]))
        arguments = dict(message["arguments"])
        if descriptors:
            arguments["descriptors"] = descriptors
        if message["notify"]:
            arguments["notify"] = lambda notice: channel.send({"notice": notice})
        module, _, name = str(message["call"]).partition(":")
        __import__(module)
        channel.send({"result": getattr(sys.modules[module], name)(**arguments)})
    except BaseException as error:
        from proa.monitor.control import describe

        try:
            channel.send(describe(error))
        except Unavailable:
            posix._exit(1)
    posix._exit(0)


def _enter(pid: int) -> None:
    """Enter a namespace of this user's, or that of the container whose process is named."""
    if not pid or posix.geteuid() == 0:
        enter()
        return
    namespace = of_process(pid)
    try:
        join(namespace)
    finally:
        posix.close(namespace)


def _environment() -> dict[str, str]:
    """What programs that are started there may want of ours: where they are, and proxies."""
    return {
        key.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for key, value in posix.environ.items()
    }
