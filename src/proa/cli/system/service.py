"""`system service`: have systemd start containers with the machine and stop them with it."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import OK
from proa.cli.flags import UsageError
from proa.cli.output import line, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _service(session: Session, values: Values, arguments: list[str]) -> int:
    import os

    from proa.engine import service
    from proa.engine.engine import default_root

    root = os.path.abspath(session.root or default_root())
    unit = service.name(root, default_root())
    own = "directory" not in values
    place = service.directory() if own else os.path.abspath(values.text("directory"))
    match arguments[0]:
        case "install":
            line(service.install(root, unit, place, enable=own))
        case "uninstall":
            line(service.uninstall(unit, place, disable=own))
        case "show":
            write(service.text(root))
        case other:
            raise UsageError(f"system service does not know {other}: install, uninstall or show")
    return OK


COMMAND = Command(
    usage="[OPTIONS] install|uninstall|show",
    summary="Have systemd start containers with the machine and stop them with it",
    run=_service,
    flags=(("directory", "", "string", "Write the unit there, and leave systemd alone"),),
    minimum=1,
    maximum=1,
)
