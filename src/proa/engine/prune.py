"""Removes the containers that do not run, as `docker container prune` does."""

from __future__ import annotations

from proa.engine.filters import has_label
from proa.errors import Conflict, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from proa.engine.containers import ContainerSummary
    from proa.engine.engine import Engine

_FILTERS = ("label", "label!", "until")
_ENDED = ("created", "exited", "dead")


def prune(engine: Engine, filters: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Remove those that pass all filters: `ContainersDeleted` (ids), `SpaceReclaimed` (bytes).

    `until`: made before then, a moment or a duration such as 24h; `label`, and `label!`: has it
    not. Raises InvalidArgument.
    """
    from proa.engine.rootless import snapshots as snapshots_of
    from proa.image.listing import moment

    for name in filters:
        if name not in _FILTERS:
            raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(_FILTERS)}")
    until = [moment(text) for text in filters.get("until", ())]
    if len(until) > 1:
        raise InvalidArgument("more than one until filter specified; give one")

    def passes(item: ContainerSummary) -> bool:
        return (
            item.state in _ENDED
            and (not until or item.created < until[0])
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
