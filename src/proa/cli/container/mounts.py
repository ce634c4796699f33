"""What is mounted into a container: `-v`, `--mount`, `--tmpfs`."""

from __future__ import annotations

from proa.cli.flags import UsageError
from proa.engine.binds import CONSISTENCY, PROPAGATION, absolute, normalise, parse
from proa.engine.config import Mount
from proa.errors import InvalidArgument, Unsupported
from proa.lean.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_OPTIONS = ("bind", "volume", "tmpfs", "image")
"""Types of mounts that have options of their own, which begin with the type."""


def mounts(values: Values) -> dict[str, Any]:
    """All mounts, in the order in which their flags are documented.

    Raises UsageError, Unsupported.
    """
    driver = values.text("volume-driver")
    found = [parse_volume(text, driver) for text in values.texts("volume")]
    found += [parse_mount(text) for text in values.texts("mount")]
    found += [_tmpfs(text) for text in values.texts("tmpfs")]
    targets: set[str] = set()
    for mount in found:
        if mount.target in targets:
            raise UsageError(f"duplicate mount point: {mount.target}")
        targets.add(mount.target)
    return {"mounts": tuple(found)}


def parse_volume(text: str, driver: str = "") -> Mount:
    """`-v source:target[:options]`. Raises UsageError, Unsupported."""
    try:
        mount = parse(text)
    except InvalidArgument as error:
        raise UsageError(str(error)) from None
    return replace(mount, driver=driver) if driver and mount.kind == "volume" else mount


def parse_mount(text: str) -> Mount:
    """`--mount type=…,source=…,target=…`. Raises UsageError, Unsupported."""

    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--mount" flag: {why}')

    kind, source, target = "volume", "", ""
    fields: dict[str, Any] = {}
    recursion = ""
    options: set[str] = set()
    for field in split_csv(text, wrong):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if key in _TRUTHS and not equals:
            value = "true"
        elif not equals:
            raise wrong(f"invalid field '{field}' must be a key=value pair")
        options.add(key.partition("-")[0] if "-" in key else "")
        if key == "type":
            kind = value.lower()
        elif key in ("source", "src"):
            source = value
        elif key in ("target", "dst", "destination"):
            target = value
        elif key in _TRUTHS:
            fields[_TRUTHS[key]] = _truth(key, value, wrong)
        elif key == "consistency":
            if value not in CONSISTENCY:
                raise wrong(f"invalid value for consistency: {value}")
        elif key == "bind-propagation":
            if value not in PROPAGATION:
                raise wrong(f"invalid value for bind-propagation: {value}")
            fields["propagation"] = value
        elif key == "bind-recursive":
            if value not in ("enabled", "disabled", "writable", "readonly"):
                raise wrong("bind-recursive is enabled, disabled, writable or readonly")
            recursion = value
        elif key == "bind-map":
            if value != "me":
                raise wrong(f"invalid value for bind-map: {value}; it can be me")
            fields["map_ids"] = value
        elif key == "tmpfs-size":
            fields["size"] = _number(key, value, wrong)
        elif key == "tmpfs-mode":
            try:
                fields["mode"] = int(value, 8)
            except ValueError:
                raise wrong(f"invalid value for tmpfs-mode: {value}; write it as 1777") from None
        elif key in ("volume-subpath", "image-subpath"):
            fields["subpath"] = value
        elif key == "volume-driver":
            fields["driver"] = value
        elif key in ("volume-label", "volume-opt"):
            name, equals, item = value.partition("=")
            if key == "volume-opt" and not equals:
                raise wrong(f"invalid field '{field}': write volume-opt=NAME=VALUE")
            place = "volume_labels" if key == "volume-label" else "volume_options"
            fields.setdefault(place, {})[name] = item
        else:
            raise wrong(f"unexpected key '{key}' in '{field}'")
    if not recursion and fields.pop("not_recursive", False):
        recursion = "disabled"
    if kind not in _OPTIONS:
        if kind in ("cluster", "npipe"):
            raise Unsupported(f"--mount type={kind} is not available; use bind or volume")
        raise wrong(f"mount type unknown: '{kind}'; use bind, volume, tmpfs or image")
    for name in _OPTIONS:
        if name in options and name != kind:
            raise wrong(f"cannot mix '{name}-*' options with mount type '{kind}'")
    if recursion:
        _recurse(recursion, fields, wrong)
    return _checked_mount(kind, source, target, fields, wrong)


_TRUTHS = {
    "readonly": "read_only",
    "ro": "read_only",
    "bind-nonrecursive": "not_recursive",
    "bind-create-src": "create_source",
    "volume-nocopy": "no_copy",
}
"""Keys that are true where they stand alone."""


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
    if kind == "tmpfs":
        if source:
            raise wrong("a tmpfs has no source")
        return Mount(kind, target, **fields)
    if kind == "volume":
        if source[:1] in ("/", "."):
            raise wrong(f"the name of a volume is no path: {source}; did you mean type=bind?")
        return Mount(kind, target, source, **fields)
    if not source:
        raise wrong(f"source is required: {'a path of the host' if kind == 'bind' else 'an image'}")
    if kind == "image":
        return Mount(kind, target, source, **{**fields, "read_only": True})
    fields.setdefault("recursive_read_only", bool(fields.get("read_only")))
    return Mount(kind, target, normalise(absolute(source)), **fields)


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
