"""`start`, `kill`, `pause`, `resume`, `delete`."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, NotFound
from proa.kernel import signals
from proa.runtime.cli.arguments import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.runtime.cli.session import Session


def start(session: Session, arguments: Sequence[str]) -> int:
    """Execute the command of a created container."""
    session.load(_id({}, arguments, "start")).start()
    return 0


def kill(session: Session, arguments: Sequence[str]) -> int:
    """Send a signal."""
    options = parse({"all": "bool,a"}, arguments, what="kill")
    if not 1 <= len(options.rest) <= 2:
        raise InvalidArgument("kill takes the id of a container, and a signal")
    number = signals.parse(options.rest[1] if len(options.rest) > 1 else "SIGTERM")
    session.load(options.rest[0]).kill(number, all=options.flag("all"))
    return 0


def pause(session: Session, arguments: Sequence[str]) -> int:
    """Freeze a container."""
    session.load(_id({}, arguments, "pause")).pause()
    return 0


def resume(session: Session, arguments: Sequence[str]) -> int:
    """Let it go on."""
    session.load(_id({}, arguments, "resume")).resume()
    return 0


def delete(session: Session, arguments: Sequence[str]) -> int:
    """Remove what is left of a container."""
    options = parse({"force": "bool,f"}, arguments, what="delete")
    if len(options.rest) != 1:
        raise InvalidArgument("delete takes the id of one container")
    try:
        container = session.load(options.rest[0])
    except NotFound:
        if options.flag("force"):
            return 0
        raise
    container.delete(force=options.flag("force"))
    for warning in container.warnings:
        posix.write(2, f"proa-runtime: {warning}\n".encode())
    return 0


def _id(flags: dict[str, str], arguments: Sequence[str], what: str) -> str:
    options = parse(flags, arguments, what=what)
    if len(options.rest) != 1:
        raise InvalidArgument(f"{what} takes the id of one container")
    return options.rest[0]
