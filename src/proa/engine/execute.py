"""Further processes in a running container."""

from __future__ import annotations

import posix

from proa.engine.attach import DETACH_KEYS, Attachment, Ends
from proa.engine.process import PATH, merge_environment
from proa.errors import InvalidArgument, Unavailable
from proa.lean import json
from proa.lean.channel import checked, stream_pair
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as StreamSocket  # noqa: N812
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from proa.engine.container import Container
    from proa.lean.channel import Channel
    from proa.store.containers import ContainerRow
    from proa.store.events import Happening

    Note = Callable[[Sequence[Happening]], None]


@record
class ExecConfig:
    """What is to be executed; as the flags of `proa exec`."""

    command: tuple[str, ...]
    user: str = ""
    working_dir: str = ""
    environment: tuple[str, ...] = ()
    tty: bool = False
    stdin: bool = False
    privileged: bool = False
    detach_keys: str | None = None


@record
class ExecResult:
    """How it ended, and what it wrote."""

    exit_code: int | None
    """None where it was detached"""
    output: Any
    """bytes; with `demux` a pair of stdout and stderr, each bytes or None"""

    def __iter__(self) -> Iterator[Any]:
        """So that it can be taken apart: `code, output = container.exec_run(…)`."""
        return iter((self.exit_code, self.output))


def start(
    channel: Channel, row: ContainerRow, wanted: ExecConfig, ends: Ends, note: Note
) -> Attachment:
    """Start the process with a client attached; `channel` leads to the container's monitor.

    `note` takes the events. Raises CommandNotFound, CommandNotExecutable, NotFound for an unknown
    user.
    """
    id = _new_id()

    def record_end(answer: dict[str, Any]) -> None:
        note((("exec_die", 0, {"execID": id, "exitCode": str(answer["exited"])}),))

    message = {
        **_message(row, wanted, id),
        "stdout": ends.stdout is not None,
        "stderr": ends.stderr is not None,
        "records": True,
    }
    ours = _open(channel, message, note)
    return Attachment(
        ends,
        ours,
        channel,
        tty=wanted.tty,
        detach_keys=DETACH_KEYS if wanted.detach_keys is None else wanted.detach_keys,
        resize="exec-resize",
        on_end=record_end,
        on_detach=lambda: note((("exec_detach", 0, {"execID": id}),)),
    )


def open_stream(
    channel: Channel,
    row: ContainerRow,
    wanted: ExecConfig,
    note: Note,
    *,
    stdout: bool,
    stderr: bool,
    id: str = "",
    started: Callable[[int], None] = lambda _pid: None,
) -> StreamSocket:
    """Start the process; a byte stream to its standard streams. `channel` brings its end.

    `id`: what it is called in events, of which the caller notes the last, by `finish`. `started`
    gets its pid on the host. Raises as `start` does.
    """
    message = {
        **_message(row, wanted, id or _new_id()),
        "stdout": stdout,
        "stderr": stderr,
        "records": bool(id),
    }
    return _open(channel, message, note, started)


def finish(channel: Channel, note: Note, id: str) -> None:
    """Wait for the end of a process that `open_stream` has started, and note it."""
    received = channel.receive()
    if received is not None and received[0].get("left"):
        note((("exec_die", 0, {"execID": id, "exitCode": str(received[0]["exited"])}),))
        channel.send({"op": "done"})


def _open(
    channel: Channel,
    message: dict[str, Any],
    note: Note,
    started: Callable[[int], None] = lambda _pid: None,
) -> StreamSocket:
    ours, theirs = stream_pair()
    try:
        started(int(_request(channel, message, [theirs.fileno()], note)["started"]))
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def start_detached(
    channel: Channel, row: ContainerRow, wanted: ExecConfig, note: Note, id: str = ""
) -> int:
    """Start the process and hang up; its pid on the host."""
    try:
        message = _message(row, wanted, id or _new_id())
        return int(_request(channel, message, [], note)["started"])
    finally:
        channel.close()


def _request(
    channel: Channel, message: dict[str, Any], descriptors: list[int], note: Note
) -> dict[str, Any]:
    channel.send(message, descriptors)
    # noted while the monitor works; that the process is about to start is what they say
    words = " ".join(message["process"]["args"])
    more = {"execID": message["id"]}
    note([(f"{action}: {words}", 0, more) for action in ("exec_create", "exec_start")])
    received = channel.receive()
    if received is None:
        raise Unavailable("the container's monitor is gone; 'proa ps -a' shows what is left")
    return checked(received[0])


def _new_id() -> str:
    return posix.urandom(32).hex()


def run_captured(
    container: Container, command: str | list[str], options: dict[str, Any]
) -> ExecResult:
    """The library's `exec_run`."""
    import shlex

    from proa.engine.attach import Ends
    from proa.engine.options import environment

    known = (
        "user workdir environment tty privileged stdin stdout stderr detach demux stream socket"
    ).split()
    if unknown := options.keys() - set(known):
        raise InvalidArgument(
            f"exec_run() has no option {min(unknown)}; there are {', '.join(known)}"
        )
    words = shlex.split(command) if isinstance(command, str) else list(command)
    wanted = ExecConfig(
        command=tuple(words),
        user=options.get("user", ""),
        working_dir=options.get("workdir") or "",
        environment=environment(options.get("environment")),
        tty=bool(options.get("tty")),
        privileged=bool(options.get("privileged")),
        stdin=bool(options.get("stdin")),
    )
    if options.get("detach"):
        container.execute_detached(wanted)
        return ExecResult(None, b"")
    if options.get("stream") or options.get("socket"):
        return ExecResult(None, _output(container, wanted, options))
    given = options.get("stdin")
    data = bytes(given) if isinstance(given, bytes | bytearray | memoryview) else b""
    out = bytearray() if options.get("stdout", True) else None
    demux = bool(options.get("demux"))
    err = (
        (bytearray() if demux else out if out is not None else bytearray())
        if options.get("stderr", True)
        else None
    )
    code = container.execute(wanted, Ends(data if wanted.stdin else None, out, err)).run()
    if demux:
        return ExecResult(code, tuple(bytes(part) if part else None for part in (out, err)))
    return ExecResult(code, bytes(out if out is not None else err or b""))


def _output(container: Container, wanted: ExecConfig, options: dict[str, Any]) -> Any:
    """Start the process: its output in pieces, or a socket to its streams."""
    channel, stream = container.execute_open(
        wanted,
        stdout=bool(options.get("stdout", True)),
        stderr=bool(options.get("stderr", True)),
    )
    if options.get("socket"):
        import socket

        channel.close()
        return socket.socket(fileno=stream.detach())
    from proa.engine.output import Output

    output = Output(stream, channel, tty=wanted.tty, demux=bool(options.get("demux")))
    if wanted.stdin:
        given = options["stdin"]
        output.feed(bytes(given) if isinstance(given, bytes | bytearray | memoryview) else b"")
    return output


def _message(row: ContainerRow, wanted: ExecConfig, id: str) -> dict[str, Any]:
    """The request: an OCI process that inherits the container's own where nothing else is said."""
    own = row.config["process"]
    environment = merge_environment(own["environment"], wanted.environment)
    basic = [PATH, f"HOSTNAME={row.config['hostname']}"]
    if wanted.tty:
        basic.append("TERM=xterm")
    process: dict[str, Any] = {
        "terminal": wanted.tty,
        "args": list(wanted.command),
        "env": list(merge_environment(basic, environment)),
        "cwd": wanted.working_dir or own["working_dir"],
    }
    if wanted.privileged:
        from proa.kernel.capability import bounding, to_names

        everything = sorted(to_names(bounding()))
        process["capabilities"] = {
            "bounding": everything,
            "effective": everything,
            "permitted": everything,
        }
    if process["cwd"][:1] != "/":
        raise InvalidArgument(f"the working directory '{process['cwd']}' must be an absolute path")
    return {
        "op": "exec",
        "id": id,
        "process": process,
        "user": wanted.user or own["user"],
        "tty": wanted.tty,
        "stdin": wanted.stdin,
    }


def spec_of(directory: str) -> dict[str, Any]:
    """The OCI spec that the container was made with."""
    with open(f"{directory}/config.json", "rb") as file:
        spec: dict[str, Any] = json.loads(file.read())
    return spec
