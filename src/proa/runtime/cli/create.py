"""`create` and `run`."""

from __future__ import annotations

import posix

from proa.errors import CorruptData, InvalidArgument, NotFound
from proa.lean import json
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.console import send_terminal
from proa.runtime.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.runtime.cli.arguments import Arguments
    from proa.runtime.cli.session import Session

FLAGS = {
    "bundle": "value,b",
    "console-socket": "value",
    "pidfd-socket": "value",
    "pid-file": "value",
    "no-pivot": "bool",
    "no-new-keyring": "bool",
    "preserve-fds": "value",
    "detach": "bool,d",
    "keep": "bool",
    "no-subreaper": "bool",
    "config": "value,f",
}


def create(session: Session, arguments: Sequence[str]) -> int:
    """Make a container, which waits to be started."""
    options = parse(FLAGS, arguments, what="create")
    container = _make(session, options, run=False)
    _hand_over(container, options)
    return 0


def run(session: Session, arguments: Sequence[str]) -> int:
    """Make a container, start it, and unless detached stay until it ends; its exit code."""
    options = parse(FLAGS, arguments, what="run")
    container = _make(session, options, run=True)
    _hand_over(container, options)
    if options.flag("detach"):
        return 0
    from proa.runtime.cli.foreground import stay

    terminal = None if options.text("console-socket") else container.console
    try:
        return stay(container.pid, container.pidfd, terminal)
    finally:
        if not options.flag("keep"):
            container.delete(force=True)


def _make(session: Session, options: Arguments, *, run: bool) -> Container:
    if len(options.rest) != 1:
        raise InvalidArgument("give one id for the container")
    bundle = options.text("bundle") or posix.getcwd()
    if not bundle.startswith("/"):
        bundle = f"{posix.getcwd()}/{bundle}"
    spec = read_spec(bundle, options.text("config") or "config.json")
    terminal = bool((spec.get("process") or {}).get("terminal"))
    waits = not run or options.flag("detach")
    if terminal and waits and not options.text("console-socket"):
        raise InvalidArgument(
            "the spec has process.terminal: a detached container needs --console-socket"
        )
    if not terminal and options.text("console-socket"):
        raise InvalidArgument("--console-socket is given and the spec has no process.terminal")
    return Container.create(
        options.rest[0],
        spec,
        root=session.root,
        bundle=bundle,
        run=run,
        keep_spec=True,
        cache=session.cache,
        systemd_cgroup=session.systemd_cgroup,
        pivot=not options.flag("no-pivot"),
        keyring=not options.flag("no-new-keyring"),
        preserve_fds=options.number("preserve-fds", 0) or 0,
    )


def read_spec(bundle: str, name: str = "config.json") -> dict[str, Any]:
    """The spec of a bundle. Raises NotFound, CorruptData."""
    path = name if name.startswith("/") else f"{bundle}/{name}"
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist; 'proa-runtime spec' writes an example") from None
    try:
        parts = []
        while part := posix.read(descriptor, 1 << 16):
            parts.append(part)
    finally:
        posix.close(descriptor)
    try:
        spec = json.loads(b"".join(parts))
    except ValueError as error:
        raise CorruptData(f"{path} is not JSON: {error}") from None
    if not isinstance(spec, dict) or not str(spec.get("ociVersion", "")).startswith("1."):
        raise CorruptData(f"{path} is no spec of version 1 (ociVersion)")
    return spec


def _hand_over(container: Container, options: Arguments) -> None:
    """Give the terminal and the pid to those who wait for them; without them, no container."""
    try:
        for warning in container.warnings:
            posix.write(2, f"proa-runtime: {warning}\n".encode())
        if container.console is not None and options.text("console-socket"):
            send_terminal(options.text("console-socket"), container.console)
        if options.text("pid-file"):
            write_pid(options.text("pid-file"), container.pid)
    except BaseException:
        container.kill(9)
        posix.waitpid(container.pid, 0)
        container.delete(force=True)
        raise


def write_pid(path: str, pid: int) -> None:
    """Write a pid file, at once as a whole."""
    directory, slash, name = path.rpartition("/")
    temporary = f"{directory}{slash}.{name}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o644)
    posix.write(descriptor, str(pid).encode())
    posix.close(descriptor)
    posix.rename(temporary, path)
