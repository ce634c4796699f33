"""Whose namespaces a container uses."""

from __future__ import annotations

from proa.cli.flags import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_MODES = {
    "pid": ("pid_mode", ("", "host"), True),
    "ipc": ("ipc_mode", ("", "none", "private", "shareable", "host"), True),
    "uts": ("uts_mode", ("", "host"), False),
    "userns": ("userns_mode", ("", "host"), False),
    "cgroupns": ("cgroupns_mode", ("", "private", "host"), False),
}
"""flag: field, words, whether container:NAME is a mode too"""


def namespaces(values: Values) -> dict[str, Any]:
    """`--pid --ipc --uts --userns --cgroupns`. Raises UsageError."""
    found = {}
    for flag, (field, words, joins) in _MODES.items():
        if flag not in values:
            continue
        mode = values.text(flag)
        joined = joins and mode.startswith("container:") and len(mode) > len("container:")
        if mode not in words and not joined:
            choices = [word for word in words if word] + (["container:NAME"] if joins else [])
            raise UsageError(
                f'invalid argument "{mode}" for "--{flag}" flag: use {" or ".join(choices)}'
            )
        found[field] = mode
    return found
