"""What a container executes: the image's config and what the user said, put together."""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.lean.record import as_dict, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.engine.config import ContainerConfig

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record
class Process:
    """The decisions that need the image's config; kept with the container."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...]
    working_dir: str
    user: str
    labels: Mapping[str, str]
    stop_signal: str
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    healthcheck: Mapping[str, Any] | None = None
    """in Docker's names; what the user left open is the image's"""
    shell: tuple[str, ...] = ()
    """the image's, where it says one"""

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line."""
        return self.entrypoint + self.command


def resolve(config: ContainerConfig, image: Mapping[str, Any]) -> Process:
    """Apply `config` to the image's config, `image` (OCI image config, as JSON).

    Raises InvalidArgument where neither says what to execute.
    """
    defaults: Mapping[str, Any] = image.get("config") or {}
    entrypoint = config.entrypoint
    command = config.command
    if entrypoint is None:
        entrypoint = tuple(defaults.get("Entrypoint") or ())
        if command is None:
            command = tuple(defaults.get("Cmd") or ())
    if not (entrypoint or command):
        raise InvalidArgument(
            f"no command specified: the image {config.image} has none; name one after the image"
        )
    working_dir = config.working_dir or defaults.get("WorkingDir") or "/"
    if not working_dir.startswith("/"):
        raise InvalidArgument(
            f"the working directory '{working_dir}' is invalid, it needs to be an absolute path"
        )
    user = config.user if config.user is not None else defaults.get("User") or ""
    return Process(
        entrypoint=entrypoint,
        command=command or (),
        environment=_environment(config.environment, defaults.get("Env") or ()),
        working_dir=working_dir,
        user=user,
        labels={**(defaults.get("Labels") or {}), **(config.labels or {})},
        stop_signal=config.stop_signal or defaults.get("StopSignal") or "SIGTERM",
        exposed_ports=tuple(
            {**(defaults.get("ExposedPorts") or {}), **dict.fromkeys(config.exposed_ports)}
        ),
        volumes=tuple(defaults.get("Volumes") or ()),
        healthcheck=_healthcheck(config, defaults),
        shell=tuple(defaults.get("Shell") or ()),
    )


def _healthcheck(config: ContainerConfig, image: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if config.healthcheck is None:
        return image.get("Healthcheck") or None
    from proa.engine.health import merged

    return merged(config.healthcheck, image.get("Healthcheck"))


def _environment(own: Sequence[str], image: Sequence[str]) -> tuple[str, ...]:
    """KEY=VALUE items: the user's, then those of the image that these leave; Docker's order."""
    first = merge_environment((), own)
    given = {item.partition("=")[0] for item in own}
    return (*first, *(item for item in image if item.partition("=")[0] not in given))


def merge_environment(first: Sequence[str], then: Sequence[str]) -> tuple[str, ...]:
    """KEY=VALUE items, later ones in the place of earlier ones of the same key."""
    merged = {item.partition("=")[0]: item for item in first}
    merged.update((item.partition("=")[0], item) for item in then)
    return tuple(item for item in merged.values() if "=" in item)


def to_json(process: Process) -> dict[str, Any]:
    """As what JSON has."""
    return as_dict(process)


def from_json(data: Mapping[str, Any]) -> Process:
    """What `to_json` made."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return Process(**values)
