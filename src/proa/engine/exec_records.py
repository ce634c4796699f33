"""Processes that are made first and started later, as Docker's API has it: what is known of them.

Each is a file in `run/execs` of the engine's root, named by its id, so that any process may go on
with what another one has made. How it ended is in the engine's events.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING

from proa.engine.execute import ExecConfig
from proa.errors import ContainerNotFound, NotFound
from proa.lean.record import as_dict, record, replace

if TYPE_CHECKING:
    from typing import Any

    from proa.store.store import Store

_ID = re.compile(r"[0-9a-f]{64}")
_KEPT = 3600
"""Seconds for which one stays whose container does not run any more."""


@record
class ExecRecord:
    """A process that was asked for."""

    id: str
    container: str
    wanted: ExecConfig
    stdout: bool
    stderr: bool
    pid: int = 0
    """on the host; 0: it was not started yet"""
    begun: int = 0
    """the number of the last event before its start"""


class ExecRecords:
    """The records of an engine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._directory = store.path("run", "execs")

    def create(
        self, container: str, wanted: ExecConfig, *, stdout: bool, stderr: bool
    ) -> ExecRecord:
        """Note a process that is to be started in the container of that id."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        self._sweep()
        made = ExecRecord(os.urandom(32).hex(), container, wanted, stdout, stderr)
        self._write(made)
        return made

    def get(self, id: str) -> ExecRecord:
        """The record of that id. Raises NotFound."""
        data = self._read(id)
        if data is None:
            raise NotFound(f"No such exec instance: {id[:64]}")
        wanted = data.pop("wanted")
        lists = {name: tuple(wanted[name]) for name in ("command", "environment")}
        return ExecRecord(wanted=ExecConfig(**{**wanted, **lists}), **data)

    def started(self, found: ExecRecord, pid: int, begun: int) -> None:
        """Note that it runs as `pid`; `begun`: the number of the last event before."""
        self._write(replace(found, pid=pid, begun=begun))

    def exit_code(self, found: ExecRecord) -> int | None:
        """How it ended; None where it has not, or was not started."""
        if not found.pid:
            return None
        last = found.begun
        while rows := self._store.events.after(last):
            for number, _, type, action, id, attributes in rows:
                last = number
                if type == "container" and id == found.container and action == "exec_die":
                    told = json.loads(attributes)
                    if told.get("execID") == found.id:
                        return int(told["exitCode"])
        return None

    def of_container(self, id: str) -> list[str]:
        """The ids of those of a container."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        return [name for name in names if (self._read(name) or {}).get("container") == id]

    def _read(self, id: str) -> dict[str, Any] | None:
        if not _ID.fullmatch(id):
            return None
        try:
            with open(f"{self._directory}/{id}", "rb") as file:
                found: dict[str, Any] = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        return found

    def _write(self, item: ExecRecord) -> None:
        path = f"{self._directory}/{item.id}"
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({**as_dict(item), "wanted": as_dict(item.wanted)}, file)
        os.rename(f"{path}.new", path)

    def _sweep(self) -> None:
        """Remove those of containers that are gone, and old ones of containers that have ended."""
        oldest = time.time() - _KEPT
        for name in os.listdir(self._directory):
            path = f"{self._directory}/{name}"
            data = self._read(name)
            try:
                if data is not None:
                    row = self._store.containers.find(data["container"])
                    if row.state.get("pid") or os.stat(path).st_mtime > oldest:
                        continue
                elif os.stat(path).st_mtime > oldest:
                    continue
            except ContainerNotFound:
                pass
            except FileNotFoundError:
                continue
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
