"""`source:target[:options]`: a mount as `-v` and docker-py's `volumes=` write it."""

from __future__ import annotations

import posix

from proa.engine.config import Mount
from proa.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
CONSISTENCY = frozenset(("consistent", "cached", "delegated", "default"))
"""For file sharing with virtual machines; Docker accepts and ignores them on Linux too."""


def parse(text: str) -> Mount:
    """The mount that `text` describes: of a path of the host, a volume, or an anonymous one.

    Raises InvalidArgument, Unsupported.
    """
    parts = text.split(":")
    if len(parts) > 3:
        raise _wrong(text, "too many colons")
    if not all(parts):
        raise _wrong(text, "empty section between colons")
    if len(parts) == 1:
        if text[0] != "/":
            raise _wrong(text, "expected SOURCE:TARGET, or an absolute path for a new volume")
        return Mount("volume", _target(text, text), short=True)
    source, target = parts[0], parts[1]
    if target[0] != "/":
        raise _wrong(text, f"mount path must be absolute: '{target}'")
    target = _target(target, text)
    kind = "bind" if source[0] in "/." else "volume"
    fields: dict[str, Any] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        _option(option, kind, fields, text)
    if kind == "volume":
        # Docker shows z where nothing was said, for volumes alone
        return Mount(
            kind,
            target,
            _name(source),
            short=True,
            volume_mode=parts[2] if len(parts) == 3 else "z",
            **fields,
        )
    return Mount(
        kind, target, normalise(absolute(source)), create_source=True, short=True, **fields
    )


def _name(source: str) -> str:
    from proa.volume.names import check_name

    check_name(source)
    return source


def _option(option: str, kind: str, fields: dict[str, Any], text: str) -> None:
    if option in ("ro", "rw"):
        if "read_only" in fields:
            raise _wrong(text, "ro and rw at once")
        fields["read_only"] = option == "ro"
        # Docker makes mounts below the source read-only too, wherever the kernel can (5.12)
        fields["recursive_read_only"] = option == "ro"
    elif option in PROPAGATION and kind == "bind":
        if "propagation" in fields:
            raise _wrong(text, "two modes of propagation")
        fields["propagation"] = option
    elif option in ("z", "Z"):
        _refuse_relabelling(option)
    elif option == "nocopy":
        if kind == "bind":
            raise _wrong(
                text, "nocopy is for named volumes; nothing is copied to a path of the host"
            )
        fields["no_copy"] = True
    elif option.startswith("map="):
        if kind != "bind" or option != "map=me":
            raise _wrong(text, f"invalid mode: {option}; map=me is for a path of the host")
        fields["map_ids"] = "me"
    elif option not in CONSISTENCY:
        raise _wrong(text, f"invalid mode: {option}")


def _refuse_relabelling(option: str) -> None:
    """`z` and `Z` say nothing where there is no SELinux, and cannot be honoured where there is."""
    try:
        posix.stat("/sys/fs/selinux/enforce")
    except OSError:
        return
    raise Unsupported(
        f"volume option {option}: relabelling for SELinux is not available; "
        "use chcon, or --security-opt label=disable"
    )


def _target(path: str, text: str) -> str:
    path = normalise(path)
    if path == "/":
        raise _wrong(text, "destination can't be '/'")
    return path


def absolute(path: str) -> str:
    """A path of the host, from the current directory."""
    return path if path[:1] == "/" else f"{posix.getcwd()}/{path}"


def normalise(path: str) -> str:
    """An absolute path without `.`, `..` and double slashes, as Go's filepath.Clean has it."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _wrong(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"invalid volume specification: '{text}': {why}")
