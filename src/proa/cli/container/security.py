"""`--security-opt`."""

from __future__ import annotations

from proa.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_MAX_PROFILE = 4 << 20


def options(values: Values) -> dict[str, Any]:
    """The options, with a seccomp profile's JSON in place of its file's name.

    Raises UsageError.
    """
    return {"security_options": tuple(_option(text) for text in values.texts("security-opt"))}


def _option(text: str) -> str:
    def wrong(why: str) -> UsageError:
        return UsageError(f'invalid argument "{text}" for "--security-opt" flag: {why}')

    name, equals, value = text.partition("=")
    if not equals and ":" in text:
        name, equals, value = text.partition(":")
    if name == "no-new-privileges":
        if value in ("", "true"):
            return name
        if value == "false":
            return "no-new-privileges=false"
        raise wrong("use no-new-privileges, alone or with =true or =false")
    if not value:
        raise wrong("expected NAME=VALUE")
    if name == "seccomp":
        if value in ("unconfined", "builtin"):
            return f"seccomp={value}"
        return f"seccomp={_profile(value)}"
    if name == "systempaths":
        if value != "unconfined":
            raise wrong("systempaths knows unconfined only")
        return text
    if name in ("apparmor", "label"):
        return f"{name}={value}"
    raise wrong("use no-new-privileges, seccomp=, apparmor=, label= or systempaths=unconfined")


def _profile(path: str) -> str:
    """The seccomp profile in the file `path`, as compact JSON."""
    from proa.lean import json

    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_PROFILE + 1)
    except OSError as error:
        raise UsageError(
            f"opening seccomp profile ({path}) failed: {(error.strerror or str(error)).lower()}"
        ) from error
    if len(data) > _MAX_PROFILE:
        raise UsageError(f"seccomp profile ({path}) is larger than {_MAX_PROFILE >> 20} MB")
    try:
        return json.dumps(json.loads(data))
    except ValueError as error:
        raise UsageError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
