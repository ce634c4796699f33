"""`update`: other limits for containers."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.container.build import FIELDS
from proa.cli.container.options import CREATE_FLAGS
from proa.cli.each import for_each
from proa.cli.exit_codes import FAILED
from proa.cli.output import complain
from proa.engine.update import SECTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_NAMES = (*(flag for flag, field in FIELDS.items() if field in SECTIONS), "restart")


def _update(session: Session, values: Values, arguments: list[str]) -> int:
    if not values.given:
        complain("you must provide one or more flags when using this command")
        return FAILED
    # as with Docker, 0 leaves what there is; of processes it is no limit
    changes = {
        FIELDS[name]: value
        for name, value in values.given.items()
        if name in FIELDS and (value or name == "pids-limit")
    }
    if "restart" in values:
        from proa.cli.container.limits import restart

        changes.update(restart(values))
    containers = session.engine.containers

    def update(name: str) -> str:
        containers.get(name).change(changes)
        return name

    return for_each(arguments, update, debug=session.debug)


COMMAND = Command(
    usage="[OPTIONS] CONTAINER [CONTAINER...]",
    summary="Change limits of containers, also while they run",
    run=_update,
    flags=tuple(flag for flag in CREATE_FLAGS if flag[0] in _NAMES),
    minimum=1,
    completes="containers",
)
