"""`exec`: a further command in a running container."""

from __future__ import annotations

import posix

from proa.cli.command import Command
from proa.cli.exit_codes import FAILED, NOT_EXECUTABLE, WrongArguments
from proa.cli.output import STDERR, STDIN, STDOUT, complain
from proa.errors import InvalidArgument, KernelError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _exec(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.engine.attach import Detached, Ends
    from proa.engine.execute import ExecConfig

    tty, stdin, detach = values.flag("tty"), values.flag("interactive"), values.flag("detach")
    environment: tuple[str, ...] = ()
    if "env" in values or "env-file" in values:
        from proa.cli.container.metadata import variables

        environment = variables(values)
    if tty and stdin and not detach and not posix.isatty(STDIN):
        raise WrongArguments("the input device is not a TTY: leave -t away where stdin is none")
    wanted = ExecConfig(
        command=tuple(arguments[1:]),
        user=values.text("user"),
        working_dir=values.text("workdir"),
        environment=environment,
        tty=tty,
        stdin=stdin and not detach,
        privileged=values.flag("privileged"),
        detach_keys=values.given.get("detach-keys"),
    )
    container = session.engine.containers.get(arguments[0])
    if detach:
        container.execute_detached(wanted)
        return 0
    ends = Ends(STDIN if stdin else None, STDOUT, STDERR)
    try:
        attachment = container.execute(wanted, ends)
    except (InvalidArgument, KernelError, NotFound) as error:
        # as with docker: a wrong user or directory is the command's failure to start
        complain(str(error))
        return NOT_EXECUTABLE
    try:
        return attachment.run()
    except Detached:
        complain("read escape sequence")
        return FAILED


COMMAND = Command(
    usage="[OPTIONS] CONTAINER COMMAND [ARG...]",
    summary="Run a further command in a running container",
    run=_exec,
    flags=(
        ("detach", "d", "bool", "Let the command run in the background"),
        ("detach-keys", "", "string", "Keys that detach from the command"),
        ("env", "e", "list", "Environment variable (NAME=value, or NAME to pass it on)"),
        ("env-file", "", "list", "File of environment variables, one a line"),
        ("interactive", "i", "bool", "Keep stdin open and pass it on"),
        ("privileged", "", "bool", "Give the command all capabilities"),
        ("tty", "t", "bool", "Give the command a terminal"),
        ("user", "u", "string", "User and group it runs as (name|uid[:group|gid])"),
        ("workdir", "w", "string", "Directory in which it starts"),
    ),
    minimum=2,
    interspersed=False,
    completes="running",
)
