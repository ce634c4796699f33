"""Flags, read the way Go's pflag reads them: that is what people's fingers and scripts know.

A command's flags are data, tuples of `(long, short, kind, help)`:

    FLAGS = (
        ("all", "a", "bool", "Show all containers"),
        ("filter", "f", "filter", "Show what matches only"),
        ("net", "", "=network", ""),            # another name of --network
    )
    values, rest = parse(FLAGS, ["-a", "-f", "name=x"])
    values.flag("all")                          # True

The kind is what the help shows as the flag's value. Without help a flag is hidden. The semantics
are those of github.com/spf13/pflag: `-it`, `-e=x`, `-eX`, `--rm=false`, `--flag value`, `--`.
"""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    Flag = tuple[str, str, str, str]

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_SINGLE_TEXT = frozenset(("string",))
_NUMBERS = frozenset(
    ("int", "int64", "uint", "uint16", "bytes", "swap-bytes", "decimal", "duration", "age")
)
"""Kinds of one value that is a number; every other kind may be given several times."""


class UsageError(InvalidArgument):
    """A flag that does not exist, or a value that it does not take (exit code 125)."""


class HelpWanted(Exception):
    """`--help` was among the arguments."""


class Values:
    """What was said on the command line, by the long name of the flag."""

    def __init__(self, given: dict[str, Any] | None = None) -> None:
        self.given: dict[str, Any] = given or {}

    def __contains__(self, name: object) -> bool:
        return name in self.given

    def flag(self, name: str, default: bool = False) -> bool:
        """A bool flag."""
        value: bool = self.given.get(name, default)
        return value

    def text(self, name: str, default: str = "") -> str:
        """A flag with one text; the last one counts."""
        value: str = self.given.get(name, default)
        return value

    def number(self, name: str) -> int | None:
        """A number, size (bytes) or duration (nanoseconds); None where it was not given."""
        value: int | None = self.given.get(name)
        return value

    def texts(self, name: str) -> list[str]:
        """A flag that may be given several times, in order."""
        value: list[str] = self.given.get(name, [])
        return value


def parse(
    flags: Iterable[Flag], arguments: Sequence[str], *, interspersed: bool = True
) -> tuple[Values, list[str]]:
    """Split `arguments` into the values of `flags` and the rest.

    `interspersed`: flags may follow positional arguments; without it the first positional
    argument ends the flags (`run IMAGE -x`: the -x is the container's).

    Raises UsageError, or HelpWanted for `--help` (and `-h` where that is no flag's).
    """
    by_name = {flag[0]: flag for flag in flags}
    by_letter = {flag[1]: flag for flag in by_name.values() if flag[1]}
    values = Values()
    rest: list[str] = []
    help_wanted = False
    position = 0
    count = len(arguments)
    while position < count:
        argument = arguments[position]
        position += 1
        if argument[:1] != "-" or argument == "-":
            rest.append(argument)
            if not interspersed:
                break
            continue
        if argument == "--":
            break
        if argument[1] == "-":
            name, equals, text = argument[2:].partition("=")
            if not name or name[0] == "-":
                raise UsageError(f"bad flag syntax: {argument}")
            flag = by_name.get(name)
            if flag is None:
                if name == "help":
                    help_wanted = True
                    continue
                raise UsageError(f"unknown flag: --{name}{_nearest(name, (*by_name, 'help'))}")
            if flag[2][0] == "=":
                flag = by_name[flag[2][1:]]
            if not equals:
                if flag[2] == "bool":
                    text = "true"
                elif position < count:
                    text = arguments[position]
                    position += 1
                else:
                    raise UsageError(f"flag needs an argument: --{name}")
            _set(values, flag, text)
            continue
        letters = argument[1:]
        while letters:
            letter, following = letters[0], letters[1:]
            flag = by_letter.get(letter)
            if flag is None:
                if letter == "h":
                    help_wanted = True
                    letters = following
                    continue
                raise UsageError(f"unknown shorthand flag: '{letter}' in -{letters}")
            if following[:1] == "=" and len(following) > 1:
                text, letters = following[1:], ""
            elif flag[2] == "bool":
                text, letters = "true", following
            elif following:
                text, letters = following, ""
            elif position < count:
                text, letters = arguments[position], ""
                position += 1
            else:
                raise UsageError(f"flag needs an argument: '{letter}' in -{letters}")
            _set(values, flag, text)
    if help_wanted:
        raise HelpWanted
    rest.extend(arguments[position:])
    return values, rest


def invalid(flag: Flag, text: str, why: str) -> UsageError:
    """The error for a value that `flag` does not take."""
    name = f"-{flag[1]}, --{flag[0]}" if flag[1] else f"--{flag[0]}"
    return UsageError(f'invalid argument "{text}" for "{name}" flag: {why}')


def _set(values: Values, flag: Flag, text: str) -> None:
    name, _, kind, _ = flag
    given = values.given
    if kind == "bool":
        if text in _TRUE:
            given[name] = True
        elif text in _FALSE:
            given[name] = False
        else:
            raise invalid(flag, text, "say true or false")
    elif kind in _SINGLE_TEXT:
        given[name] = text
    elif kind in _NUMBERS:
        from proa.cli import values as parsers

        try:
            given[name] = parsers.PARSERS[kind](text)
        except ValueError as error:
            raise invalid(flag, text, str(error)) from None
    elif kind == "strings":
        given.setdefault(name, []).extend(text.split(","))
    else:
        _check(flag, text)
        given.setdefault(name, []).append(text)


def _check(flag: Flag, text: str) -> None:
    """Refuse at once what the form of a kind does not allow, as pflag does."""
    kind = flag[2]
    if kind == "map" and "=" not in text:
        raise invalid(flag, text, "expected KEY=VALUE")
    if kind == "filter" and text and "=" not in text:
        raise invalid(flag, text, "expected NAME=VALUE")


def _nearest(name: str, known: Iterable[str]) -> str:
    from proa.lean.suggest import nearest

    best = nearest(name, known)
    return f"; did you mean --{best}?" if best else ""
