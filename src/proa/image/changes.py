"""Changes to an image's defaults, as a Dockerfile writes them (`import -c`, `commit -c`)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

_SHELL = ["/bin/sh", "-c"]
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::([-+])([^{}]*))?\})")
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?")
_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9+-]*|\d{1,2}")


def apply_changes(defaults: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """`defaults` (the member `config` of an image config) after `changes`.

    Raises InvalidArgument.
    """
    state = _State({name: value for name, value in defaults.items() if value is not None})
    for change in changes:
        state.apply(change)
    return state.defaults


class _State:
    def __init__(self, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._command_is_set = False
        self._instructions: dict[str, Callable[[str], None]] = {
            "CMD": self._cmd,
            "ENTRYPOINT": self._entrypoint,
            "ENV": self._env,
            "EXPOSE": self._expose,
            "HEALTHCHECK": self._healthcheck,
            "LABEL": self._label,
            "ONBUILD": self._onbuild,
            "STOPSIGNAL": self._stopsignal,
            "USER": self._user,
            "VOLUME": self._volume,
            "WORKDIR": self._workdir,
        }

    def apply(self, change: str) -> None:
        name, _, rest = change.strip().partition(" ")
        instruction = self._instructions.get(name.upper())
        if instruction is None:
            raise InvalidArgument(
                f"{name[:40].upper()} is not a valid change command; there are "
                + ", ".join(self._instructions)
            )
        rest = rest.strip()
        if not rest:
            raise InvalidArgument(f"the change {name.upper()} needs a value")
        if "\0" in rest or "\n" in rest:
            raise InvalidArgument(f"the change {name.upper()} has a line break or null character")
        instruction(rest)

    def _cmd(self, rest: str) -> None:
        self.defaults["Cmd"] = _command(rest)
        self._command_is_set = True

    def _entrypoint(self, rest: str) -> None:
        self.defaults["Entrypoint"] = _command(rest)
        # a command was meant for the entrypoint it was given with
        if not self._command_is_set:
            self.defaults.pop("Cmd", None)

    def _env(self, rest: str) -> None:
        pairs = _pairs(rest, "ENV", self._expand)
        for key, value in pairs:
            kept = [item for item in self._environment() if item.partition("=")[0] != key]
            place = len(kept)
            for number, item in enumerate(self._environment()):
                if item.partition("=")[0] == key:
                    place = number
                    break
            kept.insert(place, f"{key}={value}")
            self.defaults["Env"] = kept

    def _label(self, rest: str) -> None:
        labels = dict(self.defaults.get("Labels") or {})
        labels.update(_pairs(rest, "LABEL", self._expand))
        self.defaults["Labels"] = labels

    def _expose(self, rest: str) -> None:
        ports = dict(self.defaults.get("ExposedPorts") or {})
        for word in _words(rest, self._expand):
            match = _PORT.fullmatch(word.lower())
            if match is None:
                raise InvalidArgument(f"EXPOSE: {word[:40]!r} is not PORT[-PORT][/PROTOCOL]")
            first = int(match[1])
            last = int(match[2] or first)
            if not 0 < first <= last < 65536:
                raise InvalidArgument(f"EXPOSE: {word!r} is not a range of ports from 1 to 65535")
            for port in range(first, last + 1):
                ports[f"{port}/{match[3] or 'tcp'}"] = {}
        self.defaults["ExposedPorts"] = ports

    def _volume(self, rest: str) -> None:
        volumes = dict(self.defaults.get("Volumes") or {})
        found = _array(rest)
        for path in _words(rest, self._expand) if found is None else found:
            if not path.strip():
                raise InvalidArgument("VOLUME: a path is empty")
            volumes[path] = {}
        self.defaults["Volumes"] = volumes

    def _workdir(self, rest: str) -> None:
        path = _join(_words(rest, self._expand))
        if not path.startswith("/"):
            path = f"{self.defaults.get('WorkingDir') or '/'}/{path}"
        parts: list[str] = []
        for part in path.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        self.defaults["WorkingDir"] = "/" + "/".join(parts)

    def _user(self, rest: str) -> None:
        words = _words(rest, self._expand)
        if len(words) != 1:
            raise InvalidArgument("USER takes one value: USER[:GROUP]")
        self.defaults["User"] = words[0]

    def _stopsignal(self, rest: str) -> None:
        signal = _join(_words(rest, self._expand))
        if _SIGNAL.fullmatch(signal.upper()) is None:
            raise InvalidArgument(f"STOPSIGNAL: {signal[:40]!r} is not a signal's name or number")
        self.defaults["StopSignal"] = signal

    def _onbuild(self, rest: str) -> None:
        name = rest.partition(" ")[0].upper()
        if name in ("ONBUILD", "FROM", "MAINTAINER"):
            raise InvalidArgument(f"{name} is not allowed as an ONBUILD trigger")
        self.defaults["OnBuild"] = [*(self.defaults.get("OnBuild") or []), rest]

    def _healthcheck(self, rest: str) -> None:
        check: dict[str, Any] = {}
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            rest = rest.strip()
            name, equals, value = flag[2:].partition("=")
            if not equals:
                raise InvalidArgument(f"HEALTHCHECK: --{name} needs a value: --{name}=…")
            if name == "retries":
                if not value.isdecimal():
                    raise InvalidArgument(f"HEALTHCHECK: --retries={value[:40]} is not a number")
                check["Retries"] = int(value)
            elif name in ("interval", "timeout", "start-period", "start-interval"):
                key = "".join(part.capitalize() for part in name.split("-"))
                check[key] = _duration(value, name)
            else:
                raise InvalidArgument(f"HEALTHCHECK: unknown flag --{name[:40]}")
        kind, _, command = rest.partition(" ")
        if kind.upper() == "NONE" and not command and not check:
            self.defaults["Healthcheck"] = {"Test": ["NONE"]}
            return
        if kind.upper() != "CMD" or not command.strip():
            raise InvalidArgument("HEALTHCHECK takes [FLAGS] CMD command, or NONE")
        array = _array(command)
        test = ["CMD-SHELL", command.strip()] if array is None else ["CMD", *array]
        self.defaults["Healthcheck"] = {"Test": test, **check}

    def _environment(self) -> list[str]:
        return list(self.defaults.get("Env") or [])

    def _expand(self, text: str) -> str:
        known = dict(item.partition("=")[::2] for item in self._environment())

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if match[3] == "-":
                return known.get(name) or match[4]
            if match[3] == "+":
                return match[4] if known.get(name) else ""
            return known.get(name, "")

        return _VARIABLE.sub(value, text)


def _command(text: str) -> list[str]:
    found = _array(text)
    return [*_SHELL, text] if found is None else found


def _array(text: str) -> list[str] | None:
    """The JSON array of strings that `text` is; None where it is something else."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in found):
        return None
    return list(found)


def _words(text: str, expand: Callable[[str], str]) -> list[str]:
    """Split as a Dockerfile does: blanks separate, quotes and backslashes do not let them."""
    words: list[str] = []
    current: list[str] | None = None
    quote = ""
    plain: list[str] = []

    def flush() -> None:
        if plain:
            nonlocal current
            current = [*(current or []), expand("".join(plain))]
            plain.clear()

    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if quote:
            if character == quote:
                flush()
                quote = ""
            elif (
                character == "\\"
                and quote == '"'
                and text[position : position + 1] in ('"', "\\", "$")
            ):
                flush()
                current = [*(current or []), text[position]]
                position += 1
            elif quote == "'":
                current = [*(current or []), character]
            else:
                plain.append(character)
        elif character in "'\"":
            flush()
            quote = character
            current = current or []
        elif character == "\\" and position < len(text):
            flush()
            current = [*(current or []), text[position]]
            position += 1
        elif character in " \t":
            flush()
            if current is not None:
                words.append("".join(current))
                current = None
        else:
            plain.append(character)
    if quote:
        raise InvalidArgument(f"a quote is not closed in {text[:100]!r}")
    flush()
    if current is not None:
        words.append("".join(current))
    return words


def _pairs(text: str, name: str, expand: Callable[[str], str]) -> list[tuple[str, str]]:
    words = _words(text, expand)
    if "=" not in words[0]:
        # the old form: one key, and all that follows it
        key, _, rest = text.partition(" ")
        if not rest.strip():
            raise InvalidArgument(f"{name} takes KEY=VALUE; {key[:40]!r} has no value")
        return [(key, _join(_words(rest, expand)))]
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"{name} takes KEY=VALUE; {word[:40]!r} is none")
        pairs.append((key, value))
    return pairs


def _join(words: list[str]) -> str:
    return " ".join(words)


def _duration(text: str, name: str) -> int:
    """A duration as Go writes it (1m30s), in nanoseconds."""
    if text == "0":
        return 0
    total = 0.0
    position = 0
    for match in _DURATION.finditer(text):
        if match.start() != position:
            break
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if not text or position != len(text):
        raise InvalidArgument(f"HEALTHCHECK: --{name}={text[:40]} is not a duration such as 1m30s")
    return int(total)
