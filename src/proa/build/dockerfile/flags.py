"""Flags of instructions: `--name=value`, each at most once unless several are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.build.dockerfile.source import did_you_mean
from proa.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT, SWITCH, SEVERAL = "text", "switch", "several"

KNOWN: dict[str, dict[str, str]] = {
    "FROM": {"platform": TEXT},
    "RUN": {"mount": SEVERAL, "network": TEXT, "security": TEXT, "device": SEVERAL},
    "COPY": {
        "from": TEXT,
        "chown": TEXT,
        "chmod": TEXT,
        "link": SWITCH,
        "parents": SWITCH,
        "exclude": SEVERAL,
    },
    "ADD": {
        "chown": TEXT,
        "chmod": TEXT,
        "link": SWITCH,
        "exclude": SEVERAL,
        "checksum": TEXT,
        "keep-git-dir": SWITCH,
        "unpack": SWITCH,
    },
    "HEALTHCHECK": {
        "interval": TEXT,
        "timeout": TEXT,
        "start-period": TEXT,
        "start-interval": TEXT,
        "retries": TEXT,
    },
}


class Flags:
    """The flags of one statement."""

    def __init__(self, instruction: str, words: Iterable[str]) -> None:
        """Raises InvalidArgument for what `instruction` does not know, or not twice."""
        known = KNOWN.get(instruction, {})
        self._texts: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}
        self._switches: dict[str, bool] = {}
        for word in words:
            name, equals, value = word[2:].partition("=")
            kind = known.get(name)
            if kind is None:
                hint = did_you_mean(name, tuple(known))
                raise InvalidArgument(f"unknown flag: --{name}{hint}")
            if kind == SEVERAL:
                if not equals:
                    raise InvalidArgument(f"missing a value on flag: {name}")
                self._lists.setdefault(name, []).append(value)
                continue
            if name in self._texts or name in self._switches:
                raise InvalidArgument(f"duplicate flag specified: {name}")
            if kind == SWITCH:
                if equals and value.lower() not in ("true", "false"):
                    raise InvalidArgument(f"expecting boolean value for flag {name}, not: {value}")
                self._switches[name] = not equals or value.lower() == "true"
            elif not equals:
                raise InvalidArgument(f"missing a value on flag: {name}")
            else:
                self._texts[name] = value

    def text(self, name: str, default: str = "") -> str:
        """A value."""
        return self._texts.get(name, default)

    def several(self, name: str) -> tuple[str, ...]:
        """All its values."""
        return tuple(self._lists.get(name, ()))

    def switch(self, name: str) -> bool:
        """Whether it is on."""
        return self._switches.get(name, False)

    def maybe(self, name: str) -> bool | None:
        """Whether it is on or off; None where nothing is said."""
        return self._switches.get(name)
