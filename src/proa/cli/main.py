"""The command `proa`: finds the command that was asked for, and imports that one only."""

from __future__ import annotations

import posix
import sys

from proa.cli.command import Session
from proa.cli.commands import ALIASES, ALONE, HOT, INSIDE, LATER, NOUNS, SHORTCUTS, STARTING
from proa.cli.flags import HelpWanted, UsageError, parse
from proa.errors import ProaError
from proa.lean import bundle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

    from proa.cli.command import Command

GLOBAL_FLAGS = (
    ("debug", "D", "bool", "Show where an error comes from"),
    ("root", "", "string", "Directory of the engine to work on: images, containers, all state"),
    ("version", "v", "bool", "Print the version and leave"),
    ("config", "", "string", "Directory of config.json, with the credentials of registries"),
    ("context", "c", "string", ""),
    ("host", "H", "list", ""),
    ("log-level", "l", "string", ""),
    ("tls", "", "bool", ""),
    ("tlscacert", "", "string", ""),
    ("tlscert", "", "string", ""),
    ("tlskey", "", "string", ""),
    ("tlsverify", "", "bool", ""),
)
_INTERRUPTED = 128 + 2
_FULL = (28, 122)
"""ENOSPC, EDQUOT"""


def main() -> NoReturn:
    """Run what `sys.argv` asks for, and end the process with its exit code."""
    bundle.end()
    _open_standard()
    try:
        code = run(sys.argv[1:])
    except BrokenPipeError:
        code = _end_as_broken_pipe()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    if code == 0:
        bundle.save()
    # Whoever wrote through Python's own files (a traceback, a library) has not flushed them.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    # The interpreter's own way out takes a millisecond to free what the kernel frees anyhow.
    posix._exit(code & 0xFF)


def _open_standard() -> None:
    """Give a process that was started with a closed 0, 1 or 2 the null device there.

    Otherwise what is opened next would be taken for its terminal, and be written to.
    """
    for number in (0, 1, 2):
        try:
            posix.fstat(number)
        except OSError:
            opened = posix.open("/dev/null", posix.O_RDWR)  # the lowest number that is free
            if opened != number:
                posix.dup2(opened, number)
                posix.close(opened)


def run(arguments: Sequence[str], session: Session | None = None) -> int:
    """Run one command line; gives the exit code. Errors are told on stderr.

    Raises BrokenPipeError and KeyboardInterrupt: how to end then is the process's affair.
    """
    session = session or Session()
    found: list[Command] = []
    try:
        return _run(session, arguments, found)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        return _report(error, session, found[0] if found else None)


def _run(session: Session, arguments: Sequence[str], found: list[Command]) -> int:
    """Run the command line; the command goes into `found`, for the errors that follow."""
    command, rest = _find(session, arguments)
    if command is None:
        return 0
    found.append(command)
    try:
        values, positional = parse(command.flags, rest, interspersed=command.interspersed)
    except HelpWanted:
        from proa.cli.help import command_help
        from proa.cli.output import write

        write(command_help(session.path, command))
        return 0
    count = len(positional)
    if count < command.minimum or (command.maximum is not None and count > command.maximum):
        _refuse_count(session, command, count)
    return command.run(session, values, positional)


def _find(session: Session, arguments: Sequence[str]) -> tuple[Command | None, Sequence[str]]:
    """The command and its arguments; no command where the global options were all."""
    if not arguments or arguments[0][:1] == "-":
        arguments = _global_options(session, arguments)
        if not arguments:
            return None, ()
    name = arguments[0]
    position = 1
    if name in SHORTCUTS:
        noun, verb = SHORTCUTS[name]
        module = NOUNS[noun][verb]
        session.path = name
    elif name in NOUNS:
        verbs = NOUNS[name]
        if len(arguments) < 2 or arguments[1] in ("--help", "-h"):
            from proa.cli.help import noun_help
            from proa.cli.output import write

            write(noun_help(name))
            return None, ()
        verb = arguments[1]
        position = 2
        session.path = f"{name} {verb}"
        found = verbs.get(verb) or verbs.get(ALIASES.get(name, {}).get(verb, ""))
        if found is None:
            if verb[:1] == "-":
                raise UsageError(f"unknown flag: {verb}; see 'proa {name} --help'")
            _refuse_command(session.path, verb, verbs, f"proa {name} ")
        module = found
    elif name in ALONE:
        module = ALONE[name]
        session.path = name
    elif name == "help":
        return _help(session, arguments[1:])
    else:
        _refuse_command(name, name, {**NOUNS, **SHORTCUTS, **ALONE}, "proa ")
    if module in INSIDE:
        session.enter_user_namespace()
    if module in STARTING:
        bundle.load("starting")
        session.expect_start()
        bundle.end()
    if module in HOT:
        bundle.load(module)
    return load(module), arguments[position:]


def load(reference: str) -> Command:
    """The command that a table of `commands` points to."""
    name, _, attribute = reference.partition(":")
    full = f"proa.cli.{name}"
    __import__(full)
    command: Command = getattr(sys.modules[full], attribute or "COMMAND")
    return command


def _global_options(session: Session, arguments: Sequence[str]) -> Sequence[str]:
    try:
        values, rest = parse(GLOBAL_FLAGS, arguments, interspersed=False)
    except HelpWanted:
        values, rest = parse((), (), interspersed=False)
    session.root = values.text("root") or session.root
    session.debug = values.flag("debug") or values.text("log-level") == "debug" or session.debug
    for name in ("host", "context", "tls", "tlsverify", "tlscacert", "tlscert", "tlskey"):
        if name in values:
            raise UsageError(
                f"--{name} is about a daemon, and proa has none; "
                "leave it away, or choose an engine with --root DIR"
            )
    if "config" in values:
        import os

        os.environ["DOCKER_CONFIG"] = os.path.abspath(values.text("config"))
    if values.flag("version"):
        from proa.cli.output import line
        from proa.cli.system.version import short_version

        line(short_version())
        return ()
    if not rest:
        from proa.cli.help import general_help
        from proa.cli.output import write

        write(general_help())
    return rest


def _help(session: Session, arguments: Sequence[str]) -> tuple[Command | None, Sequence[str]]:
    """`proa help [COMMAND]`."""
    if arguments and arguments[0] != "help":
        return _find(session, (*arguments, "--help"))
    from proa.cli.help import general_help
    from proa.cli.output import write

    write(general_help())
    return None, ()


def _refuse_command(path: str, name: str, known: Iterable[str], prefix: str) -> NoReturn:
    from proa.cli.exit_codes import WrongArguments
    from proa.lean.suggest import nearest

    best = None if name in LATER else nearest(name, known)
    if best:
        hint = f"did you mean '{prefix}{best}'?"
    elif name in LATER:
        hint = "docker has it, this version of proa has not"
    else:
        hint = f"see '{prefix}--help'"
    raise WrongArguments(f"unknown command: proa {path}; {hint}")


def _refuse_count(session: Session, command: Command, count: int) -> NoReturn:
    from proa.cli.exit_codes import WrongArguments

    if command.maximum == 0:
        wanted = "accepts no arguments"
    elif command.minimum == command.maximum:
        wanted = f"requires {command.minimum} argument{'s' if command.minimum != 1 else ''}"
    elif count < command.minimum:
        wanted = (
            f"requires at least {command.minimum} argument{'s' if command.minimum != 1 else ''}"
        )
    else:
        wanted = f"requires at most {command.maximum} argument{'s' if command.maximum != 1 else ''}"
    raise WrongArguments(
        f"'proa {session.path}' {wanted}, as in 'proa {session.path} {command.usage}'; "
        f"see 'proa {session.path} --help'"
    )


def _report(error: Exception, session: Session, command: Command | None) -> int:
    """Say what went wrong; gives the exit code."""
    from proa.cli.exit_codes import Failed, exit_code
    from proa.cli.output import complain

    if session.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, UsageError) and session.path:
        complain(f"{_one_line(error)}; see 'proa {session.path} --help'")
    elif isinstance(error, ProaError):
        if not isinstance(error, Failed):
            complain(_one_line(error))
    elif isinstance(error, OSError) and error.errno in _FULL:
        place = f" of {session.root}" if session.root else " of the engine's root"
        complain(
            f"no space left on the file system{place}; free some, for instance by 'proa rm' or"
            " 'proa rmi'"
        )
    elif isinstance(error, OSError):
        name = error.filename
        if isinstance(name, bytes):
            name = name.decode("utf-8", "surrogateescape")
        reason = (error.strerror or str(error)).lower()
        complain(f"{name}: {reason}" if name is not None else reason)
    else:
        complain(
            f"internal error: {type(error).__name__}: {_one_line(error)}; "
            "this is a bug in proa, --debug before the command shows where"
        )
    return exit_code(type(error), command.failure if command else 1)


def _one_line(error: Exception) -> str:
    return "; ".join(part.strip() for part in str(error).splitlines() if part.strip())


def _end_as_broken_pipe() -> int:
    """End as a C or Go program does whose reader has gone away: by SIGPIPE, without a word."""
    import _signal

    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    posix.kill(posix.getpid(), _signal.SIGPIPE)
    return 128 + 13
