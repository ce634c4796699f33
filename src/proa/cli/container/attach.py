"""`attach`: the terminal's stdin, stdout and stderr become the container's."""

from __future__ import annotations

import posix

from proa.cli.command import Command
from proa.cli.exit_codes import FAILED, WrongArguments
from proa.cli.output import STDERR, STDIN, STDOUT, complain
from proa.errors import Conflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _attach(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.engine.attach import Detached, Ends

    container = session.engine.containers.get(arguments[0])
    if container.status not in ("running", "paused", "restarting"):
        raise Conflict(
            f"cannot attach to a stopped container, start it first: 'proa start -a {arguments[0]}'"
        )
    config = container.config
    stdin = config.open_stdin and not values.flag("no-stdin")
    if stdin and config.tty and not posix.isatty(STDIN):
        raise WrongArguments("the input device is not a TTY: use --no-stdin where stdin is none")
    attachment = container.begin_attached(
        Ends(STDIN if stdin else None, STDOUT, STDERR),
        sig_proxy=values.flag("sig-proxy", True),
        detach_keys=values.given.get("detach-keys"),
    )
    try:
        return attachment.run()
    except Detached:
        complain("read escape sequence")
        return FAILED


COMMAND = Command(
    usage="[OPTIONS] CONTAINER",
    summary="Connect stdin, stdout and stderr to a running container",
    run=_attach,
    flags=(
        ("detach-keys", "", "string", "Keys that detach from it"),
        ("no-stdin", "", "bool", "Do not pass stdin on"),
        ("sig-proxy", "", "bool", "Pass signals on to it (default true)"),
    ),
    minimum=1,
    maximum=1,
    completes="running",
)
