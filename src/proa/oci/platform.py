"""Platforms: what kind of machine and kernel an image is for (image-spec, image-index.md).

Spelling and order of preference follow containerd's package `platforms`, which Docker uses.
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5l": ("arm", "v5"),
    "ppc64el": ("ppc64le", ""),
    "loongarch64": ("loong64", ""),
}
_KNOWN = frozenset(
    (
        *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
        *("ppc64", "ppc64le", "riscv64", "s390x", "wasm", "unknown"),
    )
)
_SYSTEMS = frozenset(
    ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "wasip1", "unknown")
)
_DEFAULT_VARIANTS = {
    ("arm64", "v8"): "",
    ("arm64", "8"): "",
    ("amd64", "v1"): "",
    ("arm", ""): "v7",
}


@record
class Platform:
    """A machine's architecture and operating system, in Go's spelling."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "", os_version: str = "") -> Self:
        """A platform with synonyms replaced: x86_64 is amd64, aarch64 and arm64/v8 are arm64."""
        os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
        architecture, implied = _ARCHITECTURES.get(architecture, (architecture, ""))
        variant = variant or implied
        if architecture == "arm" and variant[:1].isdecimal():
            variant = "v" + variant
        variant = _DEFAULT_VARIANTS.get((architecture, variant), variant)
        return cls(os, architecture, variant, os_version)

    @classmethod
    def parse(cls, text: str) -> Self:
        """`os/architecture[/variant]`, or one of the first two. Raises InvalidArgument."""
        parts = text.split("/")
        if not all(parts) or len(parts) > 3 or not text.isascii():
            raise InvalidArgument(
                f"invalid platform {text[:100]!r}: expected os[/architecture[/variant]],"
                " as in linux/arm64/v8"
            )
        here = cls.host()
        if len(parts) == 1:
            word = parts[0].lower()
            if word in _SYSTEMS:
                return cls(word, here.architecture, here.variant)
            parts = [here.os, word]
        platform = cls.of(*parts)
        if platform.os not in _SYSTEMS or platform.architecture not in _KNOWN:
            raise InvalidArgument(
                f"unknown platform {text[:100]!r}: no such operating system or architecture"
            )
        return platform

    @classmethod
    def host(cls) -> Self:
        """The platform of this machine."""
        return cls.of("linux", posix.uname().machine)

    def runnable(self) -> tuple[Self, ...]:
        """What a machine of this platform can run, the best first."""
        cls = type(self)
        found = [self]
        if self.architecture == "amd64":
            level = int(self.variant[1:]) if self.variant[1:].isdecimal() else 1
            found += [cls.of(self.os, "amd64", f"v{lower}") for lower in range(level - 1, 0, -1)]
            found.append(cls(self.os, "386"))
        elif self.architecture in ("arm", "arm64"):
            highest = 8
            if self.architecture == "arm":
                highest = int(self.variant[1:]) - 1 if self.variant[1:].isdecimal() else 6
            elif self.variant:
                found.append(cls(self.os, "arm64"))
            found += [cls(self.os, "arm", f"v{version}") for version in range(highest, 4, -1)]
        return tuple(found)

    def choose(self, offered: Iterable[Self | None]) -> int | None:
        """The place in `offered` of what suits this platform best; None where nothing does.

        An offer of None is an image that does not say what it is for.
        """
        places: dict[tuple[str, str, str], int] = {}
        unknown = None
        for place, platform in enumerate(offered):
            if platform is None:
                unknown = place if unknown is None else unknown
                continue
            same = type(self).of(platform.os, platform.architecture, platform.variant)
            places.setdefault((same.os, same.architecture, same.variant), place)
        for wish in self.runnable():
            wanted = (wish.os, wish.architecture, wish.variant)
            if wanted in places:
                return places[wanted]
        return unknown

    def __str__(self) -> str:
        text = f"{self.os}/{self.architecture}"
        return f"{text}/{self.variant}" if self.variant else text
