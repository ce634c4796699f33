"""Removes the containers that do not run, as `docker container prune` does."""

from __future__ import annotations

import time

from proa.engine.filters import has_label
from proa.errors import Conflict, InvalidArgument, NotFound
from proa.lean import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.engine.containers import ContainerSummary
    from proa.engine.engine import Engine

_FILTERS = ("label", "label!", "until")
_ENDED = ("created", "exited", "dead")


def prune(
    engine: Engine, filters: Mapping[str, Sequence[str]], *, unused_for: float = 0
) -> dict[str, Any]:
    """Remove those that pass all filters: `ContainersDeleted` (ids), `SpaceReclaimed` (bytes).

    `until`: made before then, a moment or a duration such as 24h; `label`, and `label!`: has it
    not. `unused_for`: has not run for so many seconds. Raises InvalidArgument.
    """
    from proa.engine.rootless import snapshots as snapshots_of
    from proa.image.listing import moment

    for name in filters:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(_FILTERS)}")
    until = [moment(text) for text in filters.get("until", ())]
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified; give one")

    latest = time.time_ns() - int(unused_for * 1_000_000_000)

    def passes(item: ContainerSummary) -> bool:
        return (
            item.state in _ENDED
            and (not until or item.created < until[0])
            and (not unused_for or _used(item) < latest)
            and all(has_label(item, label) for label in filters.get("label", ()))
            and not any(has_label(item, label) for label in filters.get("label!", ()))
        )

    snapshots = snapshots_of(engine.root)
    deleted: list[str] = []
    space = 0
    for item in engine.containers.summaries(all=True):
        if not passes(item):
            continue
        try:
            container = engine.containers.get(item.id)
            size = snapshots.usage(f"{container.directory}/snapshot").size
            container.remove()
        except (Conflict, NotFound):
            continue  # started, or removed by someone else, just now
        deleted.append(item.id)
        space += size
    engine.store.events.add("container", "prune", "", {"reclaimed": str(space)})
    return {"ContainersDeleted": deleted or None, "SpaceReclaimed": space}


def _used(item: ContainerSummary) -> int:
    """When it ran last, or was made: nanoseconds since 1970."""
    return max(item.created, clock.to_nanoseconds(item.finished_at) if item.finished_at else 0)


class SystemPrune:
    """Everything that nobody needs: containers, networks, volumes, images, in this order, since
    what is removed first may be the last that needed what comes after.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        all: bool = False,
        volumes: bool = False,
        filters: Mapping[str, Sequence[str]] | None = None,
        unused_for: float = 0,
        keep_storage: int | None = None,
    ) -> None:
        """`all`: all images that no container uses, not only those without a name. `volumes`:
        anonymous ones too. `unused_for`: seconds; networks stay then, since nobody notes their use.
        Raises InvalidArgument for an unknown filter, or `until` with `volumes`.
        """
        wanted = dict(filters or {})
        for name in wanted:
            if name not in _FILTERS:
                raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(_FILTERS)}")
        if volumes and "until" in wanted:
            raise InvalidArgument(
                'the "until" filter is not supported with "--volumes"; prune volumes by themselves'
            )
        self._engine = engine
        self._all = all
        self._volumes = volumes
        self._filters = wanted
        self._unused_for = unused_for
        self._keep_storage = keep_storage

    def run(self) -> dict[str, Any]:
        """What was done, in the forms of Docker's API: `ContainersDeleted`, `NetworksDeleted`,
        `VolumesDeleted`, `ImagesDeleted`, `CachesDeleted`, each a list or None, and
        `SpaceReclaimed` in bytes.
        """
        engine = self._engine
        done = dict(engine.containers.prune(self._filters, unused_for=self._unused_for))
        networks: dict[str, Any] = {}
        if not self._unused_for:  # when one was last used is not known
            networks = engine.networks.prune(self._filters)
        volumes: dict[str, Any] = {}
        if self._volumes:
            volumes = engine.volumes.prune(self._filters, unused_for=self._unused_for)
        images = engine.images.prune(
            self._filters,
            all=self._all,
            unused_for=self._unused_for,
            keep_storage=self._keep_storage,
        )
        builds: dict[str, Any] = {}
        if not self._filters.keys() - {"until"}:
            chosen: dict[str, Sequence[str]] = dict(self._filters)
            if self._unused_for:
                chosen["unused-for"] = [f"{self._unused_for}s"]
            builds = engine.images.prune_builds(all=self._all, filters=chosen)
        return {
            **done,
            "NetworksDeleted": networks.get("NetworksDeleted"),
            "VolumesDeleted": volumes.get("VolumesDeleted"),
            "ImagesDeleted": images["ImagesDeleted"],
            "CachesDeleted": builds.get("CachesDeleted"),
            "SpaceReclaimed": sum(
                part.get("SpaceReclaimed", 0) for part in (done, volumes, images, builds)
            ),
        }
