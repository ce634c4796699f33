"""Takes a command line apart: runc's flags, which come before the positional arguments."""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Arguments:
    """What was given: flags by their long name, and the rest."""

    def __init__(self, values: dict[str, list[str]], rest: list[str]) -> None:
        self._values = values
        self.rest = rest

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag, the last one where it was repeated."""
        return self._values.get(name, [default])[-1]

    def number(self, name: str, default: int | None = None) -> int | None:
        """As a number. Raises InvalidArgument."""
        if name not in self._values:
            return default
        text = self.text(name)
        try:
            return int(text)
        except ValueError:
            raise InvalidArgument(f"--{name} takes a number, not {text!r}") from None

    def flag(self, name: str) -> bool:
        """Whether a flag without a value was given."""
        return self.text(name, "false") == "true"

    def all(self, name: str) -> list[str]:
        """All values of a flag that can be repeated."""
        return self._values.get(name, [])


def parse(flags: Mapping[str, str], arguments: Sequence[str], *, what: str) -> Arguments:
    """Take `arguments` apart up to the first that is no flag.

    `flags`: long name → kind: `bool`, `value`; with a short name behind a comma. `what`: the
    command, for errors. Raises InvalidArgument.
    """
    kinds: dict[str, tuple[str, str]] = {}
    for name, description in flags.items():
        kind, _, short = description.partition(",")
        kinds[name] = (name, kind)
        if short:
            kinds[short] = (name, kind)
    values: dict[str, list[str]] = {}
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "--":
            at += 1
            break
        if argument[:1] != "-" or argument == "-":
            break
        given, separator, value = argument.lstrip("-").partition("=")
        if given not in kinds:
            raise InvalidArgument(f"{what}: no such flag: {argument}; see 'proa-runtime --help'")
        name, kind = kinds[given]
        at += 1
        if kind == "bool":
            if not separator:
                value = "true"
            elif value not in ("true", "false"):
                raise InvalidArgument(f"{what}: {argument}: say true or false")
        elif not separator:
            if at == len(arguments):
                raise InvalidArgument(f"{what}: {argument} needs a value")
            value = arguments[at]
            at += 1
        values.setdefault(name, []).append(value)
    return Arguments(values, list(arguments[at:]))
