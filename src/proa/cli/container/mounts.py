"""What is mounted into a container: `-v`, `--mount`, `--tmpfs`."""

from __future__ import annotations

import posix

from proa.cli.flags import UsageError
from proa.engine.config import Mount
from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))
_CONSISTENCY = frozenset(("consistent", "cached", "delegated", "default"))
"""For file sharing with virtual machines; Docker accepts and ignores them on Linux too."""
_NO_VOLUMES = "named volumes come with a later release; use a path"


def mounts(values: Values) -> dict[str, Any]:
    """All mounts, in the order in which their flags are documented.

    Raises UsageError, Unsupported.
    """
    found = [parse_volume(text) for text in values.texts("volume")]
    found += [parse_mount(text) for text in values.texts("mount")]
    found += [_tmpfs(text) for text in values.texts("tmpfs")]
    targets: set[str] = set()
    for mount in found:
        if mount.target in targets:
            raise UsageError(f"duplicate mount point: {mount.target}")
        targets.add(mount.target)
    return {"mounts": tuple(found)}


def parse_volume(text: str) -> Mount:
    """`-v source:target[:options]`. Raises UsageError, Unsupported."""

    def wrong(why: str) -> UsageError:
        return UsageError(f"invalid volume specification: '{text}': {why}")

    parts = text.split(":")
    if len(parts) > 3:
        raise wrong("too many colons")
    if not all(parts):
        raise wrong("empty section between colons")
    if len(parts) == 1:
        if text[0] != "/":
            raise wrong("expected SOURCE:TARGET, each a path")
        raise Unsupported(f"volume {text}: {_NO_VOLUMES}: -v PATH:{text}")
    source, target = parts[0], parts[1]
    if target[0] != "/":
        raise wrong(f"mount path must be absolute: '{target}'")
    if source[0] == ".":
        source = absolute(source)
    elif source[0] != "/":
        raise Unsupported(f"volume {source}: {_NO_VOLUMES}, as in -v ./{source}:{target}")
    fields: dict[str, Any] = {}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        _volume_option(option, fields, wrong)
    return Mount(
        "bind", _target(target, wrong), normalise(source), create_source=True, short=True, **fields
    )


def _volume_option(option: str, fields: dict[str, Any], wrong: Any) -> None:
    if option in ("ro", "rw"):
        if "read_only" in fields:
            raise wrong("ro and rw at once")
        fields["read_only"] = option == "ro"
        # Docker makes mounts below the source read-only too, wherever the kernel can (5.12)
        fields["recursive_read_only"] = option == "ro"
    elif option in _PROPAGATION:
        if "propagation" in fields:
            raise wrong("two modes of propagation")
        fields["propagation"] = option
    elif option in ("z", "Z"):
        _refuse_relabelling(option)
    elif option == "nocopy":
        raise wrong("nocopy is for named volumes; nothing is copied to a path of the host")
    elif option not in _CONSISTENCY:
        raise wrong(f"invalid mode: {option}")


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


def parse_mount(text: str) -> Mount:
    """`--mount type=…,source=…,target=…`. Raises UsageError, Unsupported."""

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--mount" flag: {why}')

    kind, source, target = "volume", "", ""
    fields: dict[str, Any] = {}
    recursion = ""
    for field in split_csv(text, wrong):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if key in ("readonly", "ro", "bind-nonrecursive") and not equals:
            value = "true"
        elif not equals:
            raise wrong(f"invalid field '{field}' must be a key=value pair")
        if key == "type":
            kind = value.lower()
        elif key in ("source", "src"):
            source = value
        elif key in ("target", "dst", "destination"):
            target = value
        elif key in ("readonly", "ro"):
            fields["read_only"] = _truth(key, value, wrong)
        elif key == "consistency":
            if value not in _CONSISTENCY:
                raise wrong(f"invalid value for consistency: {value}")
        elif key == "bind-propagation":
            if value not in _PROPAGATION:
                raise wrong(f"invalid value for bind-propagation: {value}")
            fields["propagation"] = value
        elif key == "bind-nonrecursive":
            fields["recursive"] = not _truth(key, value, wrong)
        elif key == "bind-recursive":
            if value not in ("enabled", "disabled", "writable", "readonly"):
                raise wrong("bind-recursive is enabled, disabled, writable or readonly")
            recursion = value
        elif key == "tmpfs-size":
            fields["size"] = _number(key, value, wrong)
        elif key == "tmpfs-mode":
            try:
                fields["mode"] = int(value, 8)
            except ValueError:
                raise wrong(f"invalid value for tmpfs-mode: {value}; write it as 1777") from None
        elif key in ("volume-nocopy", "volume-label", "volume-driver", "volume-opt",
                     "volume-subpath"):  # fmt: skip
            raise Unsupported(f"--mount {key}: {_NO_VOLUMES}")
        elif key == "image-subpath":
            raise Unsupported("--mount type=image comes with a later release")
        else:
            raise wrong(f"unexpected key '{key}' in '{field}'")
    if recursion and kind == "bind":
        _recurse(recursion, fields, wrong)
    elif recursion:
        fields["recursive"] = True
    return _checked_mount(kind, source, target, fields, wrong)


def _recurse(mode: str, fields: dict[str, Any], wrong: Any) -> None:
    """`bind-recursive`: what becomes of the mounts below the source."""
    if mode == "disabled":
        fields["recursive"] = False
    elif mode == "writable":
        fields["recursive_read_only"] = False
    elif mode == "readonly":
        if not fields.get("read_only"):
            raise wrong("bind-recursive=readonly needs readonly too")
        if fields.get("propagation") not in (None, "rprivate"):
            raise wrong("bind-recursive=readonly needs bind-propagation=rprivate")


def _checked_mount(
    kind: str, source: str, target: str, fields: dict[str, Any], wrong: Any
) -> Mount:
    if not target:
        raise wrong("target is required")
    if target[0] != "/":
        raise wrong(f"mount path must be absolute: '{target}'")
    target = _target(target, wrong)
    if kind in ("image", "cluster", "npipe"):
        raise Unsupported(f"--mount type={kind} is not available; use bind or tmpfs")
    if kind not in ("bind", "tmpfs", "volume"):
        raise wrong(f"mount type unknown: '{kind}'; use bind or tmpfs")
    if kind != "bind" and not {"propagation", "recursive"}.isdisjoint(fields):
        raise wrong(f"cannot mix 'bind-*' options with mount type '{kind}'")
    if kind != "tmpfs" and not {"size", "mode"}.isdisjoint(fields):
        raise wrong(f"cannot mix 'tmpfs-*' options with mount type '{kind}'")
    if kind == "volume":
        hint = "; did you mean type=bind?" if source[:1] in ("/", ".") else ""
        raise Unsupported(f"--mount type=volume: {_NO_VOLUMES} with type=bind{hint}")
    if kind == "tmpfs":
        if source:
            raise wrong("a tmpfs has no source")
        return Mount(kind, target, **fields)
    if not source:
        raise wrong("source is required: a path of the host")
    if source[0] != "/":
        source = absolute(source)
    fields.setdefault("recursive_read_only", bool(fields.get("read_only")))
    return Mount(kind, target, normalise(source), **fields)


def _tmpfs(text: str) -> Mount:
    """`--tmpfs /run[:size=64m,exec]`."""

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--tmpfs" flag: {why}')

    target, _, options = text.partition(":")
    if target[:1] != "/":
        raise wrong(f"mount path must be absolute: '{target}'")
    return Mount(
        "tmpfs",
        _target(target, wrong),
        short=True,
        options=tuple(option for option in options.split(",") if option),
    )


def _target(path: str, wrong: Any) -> str:
    path = normalise(path)
    if path == "/":
        raise wrong("destination can't be '/'")
    return path


def _truth(key: str, value: str, wrong: Any) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise wrong(f"invalid value for {key}: {value}")


def _number(key: str, value: str, wrong: Any) -> int:
    from proa.cli.values import size

    try:
        return size(value)
    except ValueError as error:
        raise wrong(f"invalid value for {key}: {error}") from None


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


def split_csv(text: str, wrong: Any) -> list[str]:
    """The fields of one line of CSV (RFC 4180: quotes around a field, doubled inside it)."""
    fields: list[str] = []
    position = 0
    while True:
        if text[position : position + 1] == '"':
            field, position = _quoted(text, position + 1, wrong)
        else:
            end = text.find(",", position)
            end = len(text) if end < 0 else end
            field, position = text[position:end], end
            if '"' in field:
                raise wrong('bare " in a field; quote the whole field')
        fields.append(field)
        if position == len(text):
            return fields
        if text[position] != ",":
            raise wrong('a comma is missing behind "')
        position += 1


def _quoted(text: str, position: int, wrong: Any) -> tuple[str, int]:
    field = ""
    while True:
        end = text.find('"', position)
        if end < 0:
            raise wrong('a closing " is missing')
        field += text[position:end]
        if text[end + 1 : end + 2] != '"':
            return field, end + 1
        field += '"'
        position = end + 2
