"""Commands for several objects: one that fails does not keep the others waiting."""

from __future__ import annotations

from proa.cli.exit_codes import FAILED, OK
from proa.cli.output import complain, line
from proa.errors import ProaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def for_each(names: Iterable[str], action: Callable[[str], str | None], *, debug: bool) -> int:
    """Do `action` for each name, print what it gives, and go on after errors.

    Gives the exit code: 1 where one failed at least.
    """
    code = OK
    for name in names:
        try:
            said = action(name)
        except ProaError as error:
            if debug:
                import traceback

                traceback.print_exception(error)
            complain(" ".join(str(error).split("\n")))
            code = FAILED
        else:
            if said is not None:
                line(said)
    return code
