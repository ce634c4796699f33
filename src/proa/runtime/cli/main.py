"""Finds the command, runs it, and ends the process with its exit code."""

from __future__ import annotations

import posix
import sys

from proa.errors import InvalidArgument, ProaError
from proa.lean import bundle
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.session import GLOBAL_FLAGS, Session, session_of, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

# command → (module, whether it puts a process into a container)
COMMANDS = {
    "create": ("create", True),
    "delete": ("control", False),
    "events": ("events", False),
    "exec": ("exec", True),
    "features": ("features", False),
    "kill": ("control", False),
    "list": ("listing", False),
    "pause": ("control", False),
    "ps": ("listing", False),
    "resume": ("control", False),
    "run": ("create", True),
    "spec": ("spec", False),
    "start": ("control", False),
    "state": ("listing", False),
    "update": ("update", False),
}

HELP = """\
proa-runtime: an OCI runtime (runtime-spec 1.2)

Usage: proa-runtime [OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]

Commands:
  create ID      make a container of the bundle, which waits to be started
  start ID       execute its command
  run ID         both
  exec ID CMD    execute a further command in it
  kill ID [SIG]  send it a signal (SIGTERM)
  delete ID      remove what is left of it
  pause ID, resume ID
  state ID, list, ps ID, events ID, update ID
  spec           write an example config.json
  features       what this runtime can do, as JSON

Options:
  --root DIR             where states are kept (/run/proa-runtime)
  --log FILE             append errors to this file
  --log-format FORMAT    text or json
  --systemd-cgroup       cgroups by systemd (not supported yet)
  --debug                show where an error comes from
  --version

The options of the commands are those of runc.
"""


def main() -> NoReturn:
    """Do what `sys.argv` asks for, and end the process."""
    code = _main(sys.argv[1:])
    if code == 0:
        bundle.save()
    posix._exit(code & 0xFF)


def _main(arguments: Sequence[str]) -> int:
    session: Session | None = None
    try:
        options = parse(GLOBAL_FLAGS, arguments, what="proa-runtime")
        if options.flag("version"):
            write(_version())
            return 0
        if options.flag("help") or not options.rest or options.rest[0] in ("help", "-h"):
            write(HELP)
            return 0
        session = session_of(options)
        return _run(session, arguments, options.rest)
    except BrokenPipeError:
        return 128 + 13
    except Exception as error:
        if (session is None and not isinstance(error, ProaError)) or (session and session.debug):
            _trace(error)
        # without a session: the options were wrong, or there is no place for states
        (session or session_of(parse(GLOBAL_FLAGS, ("--root", "/"), what=""))).complain(
            _plain(error)
        )
        return 1


def _run(session: Session, arguments: Sequence[str], rest: Sequence[str]) -> int:
    name = rest[0]
    if name not in COMMANDS:
        raise InvalidArgument(f"no such command: {name}; see 'proa-runtime --help'")
    if any(argument in ("--help", "-h") for argument in rest[1:2]):
        write(HELP)
        return 0
    module, enters = COMMANDS[name]
    if enters:
        # a container must not be able to write to what we execute (CVE-2019-5736)
        from proa.runtime.interpreter import reexecute

        reexecute("proa.runtime.cli.main", arguments)
    full = f"proa.runtime.cli.{module}"
    __import__(full)
    code: int = getattr(sys.modules[full], name)(session, rest[1:])
    return code


def _plain(error: Exception) -> Exception:
    if isinstance(error, OSError) and not isinstance(error, ProaError):
        about = f"{error.filename}: " if error.filename else ""
        return InvalidArgument(f"{about}{(error.strerror or str(error)).lower()}")
    return error


def _trace(error: Exception) -> None:
    if not isinstance(error, ProaError):
        import traceback

        traceback.print_exception(error)


def _version() -> str:
    from proa.runtime.cli.version import version
    from proa.runtime.defaults import OCI_VERSION

    return f"proa-runtime version {version()}\nspec: {OCI_VERSION}\n"
