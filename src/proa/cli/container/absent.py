"""Flags of Docker that proa cannot honour: each is refused with its reason."""

from __future__ import annotations

from proa.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.flags import Values

_WINDOWS = "it is for Windows containers; leave it away"
_REASONS = {
    "cpu-count": _WINDOWS,
    "cpu-percent": _WINDOWS,
    "io-maxbandwidth": _WINDOWS,
    "io-maxiops": _WINDOWS,
    "isolation": _WINDOWS,
    "use-api-socket": "there is no API socket; leave it away",
}


def refuse(values: Values) -> dict[str, Any]:
    """Raises Unsupported for the first of these flags that was given."""
    for name, reason in _REASONS.items():
        if values.given.get(name) and not (name == "isolation" and values.text(name) == "default"):
            raise Unsupported(f"--{name}: {reason}")
    if not values.flag("disable-content-trust", True):
        raise Unsupported("--disable-content-trust=false: content trust is not available")
    return {}
