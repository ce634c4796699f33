"""What a command's process ends with: Docker's exit codes.

A container's own exit code is passed on as it is; 128+N where signal N ended it.
"""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.errors import CommandNotExecutable, CommandNotFound, InvalidArgument, ProaError

OK = 0
FAILED = 1
"""a command could not do its work, or not for all the objects it was given"""
ENGINE = 125
"""`run` could not start the container, or the command line is wrong"""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
BAD_TEMPLATE = 64
"""the template of `inspect --format` is not well formed"""
SIGNAL = 128
"""plus the number of the signal"""


class WrongArguments(ProaError):
    """Too few or too many arguments, or an unknown command (exit code 1)."""


class BadTemplate(InvalidArgument):
    """The template of `inspect --format` is not well formed (exit code 64)."""


class Failed(ProaError):
    """What went wrong is on stderr already; the message is not shown."""


_CODES: dict[type[ProaError], int] = {
    UsageError: ENGINE,
    WrongArguments: FAILED,
    BadTemplate: BAD_TEMPLATE,
    CommandNotFound: NOT_FOUND,
    CommandNotExecutable: NOT_EXECUTABLE,
}


def exit_code(kind: type[BaseException], otherwise: int = FAILED) -> int:
    """The exit code for an error of this kind.

    `otherwise`: what the command ends with for all that the table does not name: 125 for `run`,
    1 for the others.
    """
    for ancestor in kind.__mro__:
        if ancestor in _CODES:
            return _CODES[ancestor]
    return otherwise
