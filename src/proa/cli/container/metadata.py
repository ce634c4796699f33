"""Names and values around a container: environment, labels, annotations, options."""

from __future__ import annotations

import posix

from proa.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_WHITESPACE = " \t"
_MAX_FILE = 16 << 20


def environment(values: Values) -> dict[str, Any]:
    """`--env-file` and then `-e`, so that the latter win. Raises UsageError, OSError."""
    return {"environment": variables(values)}


def variables(values: Values) -> tuple[str, ...]:
    """KEY=VALUE of `--env-file` and `--env`; KEY alone takes the value it has here, if any."""
    entries: list[str] = []
    for path in values.texts("env-file"):
        for entry in _lines(path):
            name, equals, _ = entry.partition("=")
            if not name.strip(_WHITESPACE):
                raise UsageError(f"{path}: no variable name on line '{entry}'")
            if any(character in name for character in _WHITESPACE):
                raise UsageError(f"{path}: variable '{name}' contains whitespace")
            entries.append(entry if equals else name)
    for entry in values.texts("env"):
        if not entry or entry[0] == "=":
            raise UsageError(f'invalid argument "{entry}" for "-e, --env" flag: no variable name')
        entries.append(entry)
    resolved: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals:
            inherited = posix.environ.get(name.encode("utf-8", "surrogateescape"))
            if inherited is None:
                continue
            value = inherited.decode("utf-8", "surrogateescape")
        resolved[name] = value
    return tuple(f"{name}={value}" for name, value in resolved.items())


def labels(values: Values) -> dict[str, Any]:
    """`--label-file` and then `--label`. Raises UsageError, OSError."""
    found: dict[str, str] = {}
    for path in values.texts("label-file"):
        for entry in _lines(path):
            name, _, value = entry.partition("=")
            if any(character in name for character in _WHITESPACE):
                raise UsageError(f"{path}: label '{name}' contains whitespace")
            found[name] = value
    for entry in values.texts("label"):
        name, _, value = entry.partition("=")
        if not name:
            raise UsageError(f'invalid argument "{entry}" for "-l, --label" flag: no label name')
        found[name] = value
    return {"labels": found}


def annotation(values: Values) -> dict[str, Any]:
    """`--annotation`."""
    return {"annotations": pairs(values, "annotation")}


def sysctls(values: Values) -> dict[str, Any]:
    """`--sysctl`."""
    return {"sysctls": pairs(values, "sysctl")}


def storage(values: Values) -> dict[str, Any]:
    """`--storage-opt`."""
    return {"storage_options": pairs(values, "storage-opt")}


def log(values: Values) -> dict[str, Any]:
    """`--log-driver` and `--log-opt`."""
    driver = values.text("log-driver") or "json-file"
    options = pairs(values, "log-opt")
    if driver == "none" and options:
        raise UsageError("--log-opt makes no sense with --log-driver none")
    return {"log_driver": driver, "log_options": options or None}


def pairs(values: Values, name: str) -> dict[str, str]:
    """The texts of a flag as a map. Raises UsageError."""
    found: dict[str, str] = {}
    for entry in values.texts(name):
        key, equals, value = entry.partition("=")
        if not (key and equals):
            raise UsageError(f'invalid argument "{entry}" for "--{name}" flag: expected KEY=VALUE')
        found[key] = value
    return found


def _lines(path: str) -> list[str]:
    """The lines of a file of variables or labels, without comments and empty ones."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > _MAX_FILE:
        raise UsageError(f"{path}: larger than {_MAX_FILE >> 20} MB; is this the right file?")
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode("utf-8").lstrip()
        except UnicodeDecodeError:
            raise UsageError(f"{path}: line {number} is not valid UTF-8") from None
        if "\0" in line:
            raise UsageError(f"{path}: line {number} contains a NUL byte")
        if line and line[0] != "#":
            lines.append(line)
    return lines
