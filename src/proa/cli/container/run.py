"""`run`: a new container, and its command in it."""

from __future__ import annotations

import posix

from proa.cli.command import Command
from proa.cli.container.build import build_config, with_image
from proa.cli.container.options import CREATE_FLAGS
from proa.cli.exit_codes import ENGINE, OK, WrongArguments
from proa.cli.output import STDERR, STDIN, STDOUT, line
from proa.errors import ProaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.config import ContainerConfig
    from proa.engine.container import Container
    from proa.engine.containers import Containers


def _run(session: Session, values: Values, arguments: list[str]) -> int:
    detach = values.flag("detach")
    config = build_config(values, arguments, detach=detach)
    if config.tty and config.attach_stdin and not posix.isatty(STDIN):
        raise WrongArguments("the input device is not a TTY: leave -t away where stdin is none")
    if "cidfile" in values:
        from proa.cli.container.cidfile import IdFile

        with IdFile(values.text("cidfile")) as file:
            return with_image(
                session,
                values,
                config,
                lambda: _start(session, values, config, lambda container: file.write(container.id)),
            )
    return with_image(session, values, config, lambda: _start(session, values, config, None))


def _start(
    session: Session,
    values: Values,
    config: ContainerConfig,
    on_created: Callable[[Container], None] | None,
) -> int:
    """Run the container; its exit code, or 0 where it goes on by itself."""
    containers = session.engine.containers
    if values.flag("detach"):
        return _start_detached(containers, config, on_created)
    from proa.engine.attach import Detached, Ends

    ends = Ends(
        STDIN if config.attach_stdin else None,
        STDOUT if config.attach_stdout else None,
        STDERR if config.attach_stderr else None,
    )
    if ends.stdout is None and ends.stderr is None:
        on_created = _printing_id(on_created)
    try:
        return containers.run_attached(
            config,
            ends,
            sig_proxy=values.flag("sig-proxy", True),
            detach_keys=values.given.get("detach-keys"),
            on_created=on_created,
        )
    except Detached:
        return OK


def _start_detached(
    containers: Containers,
    config: ContainerConfig,
    on_created: Callable[[Container], None] | None,
) -> int:
    if on_created is None:
        container = containers.run_detached(config)
    else:
        container = containers.create(config)
        on_created(container)
        try:
            container.start()
        except ProaError as error:
            if config.auto_remove:
                container.remove(force=True)
            else:
                container.record_failure(error)
            raise
    line(container.id)
    return OK


def _printing_id(
    following: Callable[[Container], None] | None,
) -> Callable[[Container], None]:
    """With `-a stdin` alone, stdout is free for the id, and has it at once."""

    def created(container: Container) -> None:
        if following is not None:
            following(container)
        line(container.id)

    return created


COMMAND = Command(
    usage="[OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Make a container from an image and run a command in it",
    run=_run,
    flags=(
        *CREATE_FLAGS,
        ("detach", "d", "bool", "Let it run in the background, print its id"),
        ("detach-keys", "", "string", 'Keys that detach from it (default "ctrl-p,ctrl-q")'),
        ("sig-proxy", "", "bool", "Pass signals on to it (default true)"),
    ),
    minimum=1,
    interspersed=False,
    failure=ENGINE,
    completes="images",
)
