"""`exec`: a further command in a running container."""

from __future__ import annotations

import posix

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDERR, STDIN, STDOUT

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
        raise UsageError(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal; "
            "leave -t away"
        )
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
        return container.execute(wanted, ends).run()
    except Detached:
        return 0


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
