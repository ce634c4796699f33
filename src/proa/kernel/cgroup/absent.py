# ruff: noqa: D102, ARG002 - what the methods do is said by Cgroup
"""No cgroup: for a user who may not make one."""

from __future__ import annotations

from proa.errors import Unsupported
from proa.kernel.cgroup.manager import Cgroup, not_applied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class NoCgroup(Cgroup):
    """What stands for a cgroup where there is none: it limits nothing, and says so."""

    def __init__(self, reason: str) -> None:
        self.paths = {}
        self._reason = reason

    def create(self, resources: Mapping[str, Any] | None = None) -> list[str]:
        return []

    def apply(self, resources: Mapping[str, Any]) -> list[str]:
        return not_applied(resources, self._reason)

    def join_files(self) -> tuple[int, ...]:
        return ()

    def add(self, pid: int) -> None:
        pass

    def freeze(self, *, timeout: float = 10.0) -> None:
        raise Unsupported(f"cannot pause: {self._reason}")

    def thaw(self) -> None:
        raise Unsupported(f"cannot resume: {self._reason}")

    def frozen(self) -> bool:
        return False

    def processes(self, *, recursive: bool = True) -> list[int]:
        return []

    def kill(self, *, timeout: float = 10.0) -> None:
        pass

    def stats(self) -> dict[str, Any]:
        return {}

    def remove(self, *, timeout: float = 2.0) -> None:
        pass
