"""Help texts, made of the same data that the flags are parsed by. Imported when asked for only."""

from __future__ import annotations

from proa.cli.commands import ALIASES, ALONE, NOUNS, SHORTCUTS
from proa.cli.main import GLOBAL_FLAGS, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from proa.cli.command import Command
    from proa.cli.flags import Flag

_NOUN_SUMMARIES = {
    "container": "Work with containers",
    "image": "Work with images",
    "manifest": "Work with manifests in registries, and lists of them",
    "network": "Work with networks",
    "registry": "Be a registry",
    "system": "Look after the engine and the machine",
    "volume": "Work with volumes",
}
_COMMON = ("run", "exec", "ps", "images", "load", "version", "info")
_MOST_COLUMNS = 120


def command_help(path: str, command: Command) -> str:
    """The help of one command, called as `path`."""
    parts = [f"Usage:  proa {path} {command.usage}\n\n{command.summary}\n"]
    names = _names(path)
    if len(names) > 1:
        parts.append("\nAliases:\n  " + ", ".join(f"proa {name}" for name in names) + "\n")
    if any(flag[3] for flag in command.flags):
        parts.append("\nOptions:\n" + flag_table(command.flags))
    return "".join(parts)


def noun_help(noun: str) -> str:
    """The help of `container`, `image`, `system`."""
    entries = [(verb, load(module).summary) for verb, module in sorted(NOUNS[noun].items())]
    return (
        f"Usage:  proa {noun} COMMAND\n\n{_NOUN_SUMMARIES[noun]}\n\nCommands:\n"
        + _two_columns(entries)
        + f"\nRun 'proa {noun} COMMAND --help' for more information on a command.\n"
    )


def general_help() -> str:
    """The help of `proa` itself."""
    modules = {name: NOUNS[noun][verb] for name, (noun, verb) in SHORTCUTS.items()} | ALONE
    common = [(name, load(modules[name]).summary) for name in _COMMON]
    others = [
        (name, load(module).summary)
        for name, module in sorted(modules.items())
        if name not in _COMMON
    ]
    return (
        "Usage:  proa [OPTIONS] COMMAND\n\nContainers without a daemon\n"
        "\nCommon Commands:\n"
        + _two_columns(common)
        + "\nManagement Commands:\n"
        + _two_columns(sorted(_NOUN_SUMMARIES.items()))
        + "\nCommands:\n"
        + _two_columns(others)
        + "\nGlobal Options:\n"
        + flag_table(GLOBAL_FLAGS)
        + "\nRun 'proa COMMAND --help' for more information on a command.\n"
    )


def flag_table(flags: Iterable[Flag]) -> str:
    """The flags that are not hidden, in aligned columns."""
    shown = []
    for long, short, kind, text in sorted(flags):
        if text:
            value = "" if kind == "bool" else f" {_SHOWN_KINDS.get(kind, kind)}"
            letter = f"-{short}, " if short else "    "
            shown.append((f"  {letter}--{long}{value}", text))
    indent = max((len(left) for left, _ in shown), default=0) + 3
    columns = _columns()
    lines = []
    for left, text in shown:
        wrapped = _wrap(text, max(columns - indent, 24))
        lines.append(f"{left:<{indent}}{wrapped[0]}\n")
        lines.extend(f"{'':<{indent}}{more}\n" for more in wrapped[1:])
    return "".join(lines)


_SHOWN_KINDS = {"age": "duration", "swap-bytes": "bytes", "int64": "int"}


def _names(path: str) -> list[str]:
    """All names of a command, the long ones first."""
    words = path.split(" ")
    if len(words) == 2:
        noun, verb = words[0], ALIASES.get(words[0], {}).get(words[1], words[1])
    elif path in SHORTCUTS:
        noun, verb = SHORTCUTS[path]
    else:
        return [path]
    names = [f"{noun} {verb}"]
    names += [f"{noun} {other}" for other, meant in ALIASES.get(noun, {}).items() if meant == verb]
    names += [short for short, meant in SHORTCUTS.items() if meant == (noun, verb)]
    return names


def _two_columns(entries: Sequence[tuple[str, str]]) -> str:
    return "".join(f"  {name:<12}{summary}\n" for name, summary in entries)


def _wrap(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def _columns() -> int:
    """The width of the terminal; 80 where there is none."""
    import os

    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        columns = 80
    return min(columns or 80, _MOST_COLUMNS)
