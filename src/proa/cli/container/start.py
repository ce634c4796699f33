"""`start`: run containers that exist."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.each import for_each
from proa.cli.exit_codes import WrongArguments
from proa.cli.output import STDERR, STDIN, STDOUT
from proa.errors import Conflict, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _start(session: Session, values: Values, arguments: list[str]) -> int:
    if "checkpoint" in values or "checkpoint-dir" in values:
        raise Unsupported("checkpoints are not available; start the container without --checkpoint")
    containers = session.engine.containers
    if values.flag("attach") or values.flag("interactive"):
        if len(arguments) > 1:
            raise WrongArguments("you cannot start and attach multiple containers at once")
        return _attached(session, values, arguments[0])

    def start(name: str) -> str:
        containers.get(name).start()
        return name

    return for_each(arguments, start, debug=session.debug)


def _attached(session: Session, values: Values, name: str) -> int:
    from proa.engine.attach import Detached, Ends

    container = session.engine.containers.get(name)
    interactive = values.flag("interactive") and container.config.open_stdin
    ends = Ends(STDIN if interactive else None, STDOUT, STDERR)
    keys = values.given.get("detach-keys")
    sig_proxy = values.flag("sig-proxy", True)
    if container.status == "paused":
        raise Conflict(f"container {container.name} is paused; unpause it with 'proa unpause'")
    if container.status in ("running", "restarting"):
        attachment = container.begin_attached(ends, sig_proxy=sig_proxy, detach_keys=keys)
    else:
        monitor = session.engine.prepare_monitor()
        try:
            attachment = container.start_attached(
                monitor, ends, sig_proxy=sig_proxy, detach_keys=keys
            )
        except BaseException:
            monitor.close()
            raise
    try:
        return attachment.run()
    except Detached:
        return 0


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Start containers that do not run",
    run=_start,
    flags=(
        ("attach", "a", "bool", "Show its output and pass signals on"),
        ("checkpoint", "", "string", ""),
        ("checkpoint-dir", "", "string", ""),
        ("detach-keys", "", "string", "Keys that detach from it"),
        ("interactive", "i", "bool", "Pass stdin on to it"),
        ("sig-proxy", "", "bool", ""),
    ),
    minimum=1,
    completes="containers",
)
