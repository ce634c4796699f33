"""`exec`: a further process in a running container."""

from __future__ import annotations

import posix

from proa.errors import Conflict, InvalidArgument
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.console import send_terminal
from proa.runtime.cli.create import write_pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.runtime.cli.arguments import Arguments
    from proa.runtime.cli.session import Session
    from proa.runtime.container import Container

FLAGS = {
    "additional-gids": "value,g",
    "apparmor": "value",
    "cap": "value,c",
    "cgroup": "value",
    "console-socket": "value",
    "cwd": "value",
    "detach": "bool,d",
    "env": "value,e",
    "ignore-paused": "bool",
    "no-new-privs": "bool",
    "no-subreaper": "bool",
    "pid-file": "value",
    "pidfd-socket": "value",
    "preserve-fds": "value",
    "process": "value,p",
    "process-label": "value",
    "tty": "bool,t",
    "user": "value,u",
}
_CAPABILITY_SETS = ("bounding", "effective", "permitted", "inheritable", "ambient")


def exec(session: Session, arguments: Sequence[str]) -> int:
    """Execute a command in a container; its exit code, or 0 where it is detached."""
    options = parse(FLAGS, arguments, what="exec")
    if not options.rest:
        raise InvalidArgument("give the id of the container, and a command")
    container = session.load(options.rest[0])
    status = container.status
    if status not in ("created", "running") and not (
        status == "paused" and options.flag("ignore-paused")
    ):
        raise Conflict(f"nothing can be executed in container {container.id}: it is {status}")
    process, inherit = _process(container, options)
    if process.get("terminal") and options.flag("detach") and not options.text("console-socket"):
        raise InvalidArgument("a detached process with a terminal needs --console-socket")
    started = container.exec(
        process, preserve_fds=options.number("preserve-fds", 0) or 0, inherit=inherit
    )
    if started.console is not None and options.text("console-socket"):
        send_terminal(options.text("console-socket"), started.console)
    if options.text("pid-file"):
        write_pid(options.text("pid-file"), started.pid)
    if options.flag("detach"):
        return 0
    from proa.runtime.cli.foreground import stay

    terminal = None if options.text("console-socket") else started.console
    return stay(started.pid, started.pidfd, terminal)


def _process(container: Container, options: Arguments) -> tuple[dict[str, Any], bool]:
    """The process object, and whether it is completed by the container's own."""
    if path := options.text("process"):
        if not path.startswith("/"):
            path = f"{posix.getcwd()}/{path}"
        return _read_process(path), False
    if len(options.rest) < 2:
        raise InvalidArgument("give a command to execute, or a process with --process")
    own = dict(container.spec.get("process") or {})
    own["args"] = options.rest[1:]
    own["terminal"] = options.flag("tty")
    own.pop("consoleSize", None)
    own["env"] = [*(own.get("env") or ()), *options.all("env")]
    if directory := options.text("cwd"):
        own["cwd"] = directory
    user = dict(own.get("user") or {})
    if text := options.text("user"):
        uid, _, gid = text.partition(":")
        if not uid.isdecimal() or (gid and not gid.isdecimal()):
            raise InvalidArgument(f"--user takes UID[:GID] as numbers, not {text!r}")
        user = {**user, "uid": int(uid), "gid": int(gid) if gid else user.get("gid", 0)}
    if groups := options.all("additional-gids"):
        user["additionalGids"] = [*(user.get("additionalGids") or ()), *map(int, groups)]
    own["user"] = user
    if options.flag("no-new-privs"):
        own["noNewPrivileges"] = True
    if label := options.text("apparmor"):
        own["apparmorProfile"] = label
    if label := options.text("process-label"):
        own["selinuxLabel"] = label
    if names := options.all("cap"):
        sets = own.get("capabilities") or {}
        own["capabilities"] = {
            name: [*(sets.get(name) or ()), *names]
            if name in ("bounding", "effective", "permitted")
            else list(sets.get(name) or ())
            for name in _CAPABILITY_SETS
        }
    return own, True


def _read_process(path: str) -> dict[str, Any]:
    from proa.errors import CorruptData
    from proa.lean import json

    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = []
        while part := posix.read(descriptor, 1 << 16):
            parts.append(part)
    finally:
        posix.close(descriptor)
    try:
        process = json.loads(b"".join(parts))
    except ValueError as error:
        raise CorruptData(f"{path} is not JSON: {error}") from None
    if not isinstance(process, dict):
        raise CorruptData(f"{path} is no process object")
    return process
