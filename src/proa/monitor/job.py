"""What a monitor is told: all it needs to run one container, as plain data."""

from __future__ import annotations

from proa.lean.record import as_dict, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


SOCKET = "monitor.sock"
"""In run/<id> of the engine's root: where a monitor listens."""


@record
class Job:
    """One start of a container. The OCI spec lies in the bundle, `containers/<id>/config.json`."""

    root: str
    """the engine's root directory"""
    row: int
    """the container's row, which is also the byte of its lock"""
    id: str
    layers: tuple[str, ...]
    """diff IDs of the image, base first"""
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    """end the container's standard input when the first attached client ends its own"""
    stop_signal: int = 15
    stop_timeout: int = 10
    """seconds between the stop signal and SIGKILL; -1: never"""
    user: str = ""
    """as in an image: name or uid, optionally with :group; looked up in the root file system"""
    groups_add: tuple[str, ...] = ()
    join: Mapping[str, str] | None = None
    """namespace type → id of the container whose namespace is joined"""
    restart: str = "no"
    restart_maximum: int = 0
    auto_remove: bool = False
    log_driver: str = "json-file"
    log_options: Mapping[str, str] | None = None
    log_info: Mapping[str, Any] | None = None
    """what a driver tells others of the container: id, name, image, tag, attributes"""
    runtime: str | None = None
    """path of another OCI runtime; None: proa's own, in this process"""
    read_only: bool = False
    restart_count: int = 0
    healthcheck: Mapping[str, Any] | None = None
    """see `health.Health`; None: nobody checks"""
    edits: Mapping[str, Any] | None = None
    """what devices need of the spec; see `edits.apply`"""
    volumes: tuple[Mapping[str, Any], ...] = ()
    """volumes and images whose mounts the spec alone does not say; see `monitor.volumes`"""
    anonymous_volumes: tuple[str, ...] = ()
    """that are removed with the container, where that is removed at its end"""
    network: Mapping[str, Any] | None = None
    """its endpoints and ports, see monitor.network; None: the spec says all about its network"""


def to_message(job: Job) -> dict[str, Any]:
    """The job as a JSON object."""
    return as_dict(job)


def from_message(message: Mapping[str, Any]) -> Job:
    """The job that `to_message` made."""
    values: dict[str, Any] = {
        key: tuple(item) if isinstance(item, list) else item for key, item in message.items()
    }
    return Job(**values)
