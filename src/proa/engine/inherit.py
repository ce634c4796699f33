"""`--volumes-from`: what is mounted in other containers, for one more."""

from __future__ import annotations

from proa.engine import config as configs
from proa.errors import InvalidArgument
from proa.lean.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.config import ContainerConfig, Mount
    from proa.store.store import Store

_MODES = frozenset(("", "ro", "rw", "z", "Z"))


def inherited(store: Store, config: ContainerConfig) -> tuple[Mount, ...]:
    """The mounts of the containers that `config.volumes_from` names, as CONTAINER[:MODE].

    What `config` mounts itself counts more, and of two containers the later one, as with Docker.
    What was said by `--tmpfs` is the other container's alone. Raises ContainerNotFound,
    InvalidArgument.
    """
    own = {mount.target for mount in config.mounts}
    found: dict[str, Mount] = {}
    for text in config.volumes_from:
        name, _, mode = text.partition(":")
        modes = set(mode.split(","))
        if not name or not modes <= _MODES or {"ro", "rw"} <= modes:
            raise InvalidArgument(
                f"invalid --volumes-from {text}: write CONTAINER, CONTAINER:ro or CONTAINER:rw"
            )
        row = store.containers.find(name)
        for mount in configs.from_json(row.config["request"]).mounts:
            if mount.target in own or (mount.kind == "tmpfs" and mount.short):
                continue
            mount = replace(mount, inherited=True)
            if "ro" in modes:
                mount = replace(mount, read_only=True, recursive_read_only=True)
            found[mount.target] = mount
    return tuple(found.values())
