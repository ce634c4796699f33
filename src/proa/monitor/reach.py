"""Resource limits that this process may not raise: what is left of them, in place of a failure."""

from __future__ import annotations

from proa.kernel import capability
from proa.kernel.process import RLIMITS, get_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SYS_RESOURCE = 1 << 24
_UNLIMITED = -1
_INFINITY = (1 << 64) - 1
"""RLIM_INFINITY, as it is in a spec"""


def lower_limits(process: dict[str, Any]) -> list[str]:
    """Lower the rlimits of an OCI process to what can be had, in place; a warning for each.

    A hard limit can be raised with CAP_SYS_RESOURCE only: setrlimit(2).
    """
    limits = process.get("rlimits") or []
    warnings: list[str] = []
    if not limits or capability.get().effective & _SYS_RESOURCE:
        return warnings
    for limit in limits:
        if limit["type"] not in RLIMITS:
            continue  # the runtime says what is wrong with it
        _, most = get_limit(limit["type"])
        if most == _UNLIMITED or 0 <= limit["hard"] <= most:
            continue
        soft = limit["soft"] if 0 <= limit["soft"] <= most else most
        warnings.append(
            f"{limit['type']} is {soft}:{most}, not {_words(limit['soft'])}:"
            f"{_words(limit['hard'])}: raising a hard limit takes CAP_SYS_RESOURCE, which this"
            " engine lacks"
        )
        limit["soft"], limit["hard"] = soft, most
    return warnings


def _words(limit: int) -> str:
    return "unlimited" if limit in (_UNLIMITED, _INFINITY) else str(limit)
