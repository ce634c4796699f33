"""The volumes of a container that is made and not started: they are filled all the same.

As with Docker, where a container that never runs may be there for its volumes alone. One that is
started at once has its monitor do it, which has the root file system at hand.
"""

from __future__ import annotations

import os

from proa.engine import config as configs
from proa.engine.mounted import entries
from proa.monitor.inside import call
from proa.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.store.containers import ContainerRow


def fill_new(store: Store, row: ContainerRow) -> None:
    """Fill what is empty of the volumes of a new container, with what its image has there.

    A process of its own does it: this one may have threads, and may lack the rights. Raises
    NoSpace, NotFound for a device that is not there, KernelError …
    """
    if _wanted(store, row):
        call("proa.engine.fill:fill", {"root": store.root, "id": row.id})


def fill(root: str, id: str) -> None:
    """In that process: do it."""
    from proa.monitor.job import Job
    from proa.monitor.volumes import Volumes
    from proa.snapshot.choose import choose_snapshots

    store = Store.open(root)
    row = store.containers.find(id)
    layers = tuple(map(str, row.layers))
    snapshots = choose_snapshots(root)
    volumes = Volumes(
        Job(root=root, row=row.row, id=id, layers=layers, volumes=tuple(_wanted(store, row))),
        snapshots,
    )
    rootfs = snapshots.mount(store.path("containers", id, "snapshot"), layers)
    try:
        volumes.fill(rootfs)
    finally:
        os.close(rootfs)


def _wanted(store: Store, row: ContainerRow) -> list[dict[str, Any]]:
    """Those that may have to be filled."""
    config = configs.from_json(row.config["request"])
    return [entry for entry in entries(store, row, config.mounts) if entry["copy"]]
