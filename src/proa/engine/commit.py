"""`commit`: an image of what a container has changed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from proa.engine.container_tree import is_running, require
from proa.engine.images import Image
from proa.errors import Conflict, ProaError, Unavailable
from proa.image import commit as images
from proa.lean.channel import checked
from proa.monitor.inside import call
from proa.monitor.rootless import needed
from proa.snapshot.choose import choose_snapshots
from proa.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from proa.engine.container import Container
    from proa.engine.engine import Engine
    from proa.snapshot.diff import Change
    from proa.store.containers import ContainerRow
    from proa.store.images import ImageRecord

_HERE = "proa.engine.commit"
_DEFAULTS = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
    *("StopSignal", "Healthcheck"),
)
"""Of a container's settings, those that an image has (image-spec, config.md)."""


def commit(
    engine: Engine,
    id: str,
    repository: str | None,
    tag: str | None,
    *,
    message: str | None = "",
    author: str | None = "",
    changes: str | Iterable[str] | None = None,
    conf: Mapping[str, Any] | None = None,
    pause: bool = True,
) -> Image:
    """The image of what the container `id` has changed; see `Container.commit`."""
    store = engine.store
    container = engine.containers.get(id)
    row = container.row
    require(store, row)
    settings = container.attrs["Config"]
    wanted: dict[str, Any] = {
        "id": row.id,
        "reference": f"{repository}:{tag}" if repository and tag else repository or None,
        "changes": changes.splitlines() if isinstance(changes, str) else list(changes or ()),
        "message": message or "",
        "author": author or "",
        "defaults": {name: settings[name] for name in _DEFAULTS if settings.get(name)},
    }
    wanted["defaults"].update(conf or {})
    skipped: list[str] = []
    with _held(container) if pause and is_running(row) else contextlib.nullcontext():
        if needed():
            arguments = {"root": store.root, **wanted}
            made = call(f"{_HERE}:commit_inside", arguments, notify=skipped.append)
        else:
            made = str(_commit(store, row, skipped.append, wanted).id)
    engine.warn(skipped)
    image = Image(store, store.images.resolve(made))
    attributes = {"comment": message or "", "imageID": made, "imageRef": (image.tags or [""])[0]}
    container.note((("commit", 0, attributes),))
    return image


def commit_inside(root: str, notify: Callable[[Any], None], **wanted: Any) -> str:
    """Inside: commit; the image's id."""
    store = Store.open(root)
    return str(_commit(store, store.containers.find(wanted["id"]), notify, wanted).id)


def _commit(
    store: Store, row: ContainerRow, skipped: Callable[[str], None], wanted: dict[str, Any]
) -> ImageRecord:
    snapshots = choose_snapshots(store.root)
    key_dir = store.path("containers", row.id, "snapshot")

    def skip(path: str, why: str) -> None:
        skipped(f"/{path} is not in the image: {why}")

    def made() -> Iterator[Change]:
        try:
            yield from snapshots.changes(key_dir, [str(layer) for layer in row.layers])
        finally:
            # what is left of one that is being removed would look like changes
            require(store, row)

    return images.commit(
        store,
        row.image,
        made(),
        wanted["defaults"],
        reference=wanted["reference"],
        changes=wanted["changes"],
        message=wanted["message"],
        author=wanted["author"],
        created_by=" ".join(wanted["defaults"].get("Cmd") or ()),
        skipped=skip,
    )


@contextlib.contextmanager
def _held(container: Container) -> Iterator[None]:
    """Keep the container's processes from running; they go on as soon as this one ends in any way.

    One that is paused stays so, and one that has just ended has nothing to be held.
    """
    try:
        channel = container.connect()
    except (Conflict, Unavailable):
        yield
        return
    try:
        try:
            checked(channel.request({"op": "hold"}))
        except ProaError:
            # it has just ended; or an ordinary user's processes are in no group to be frozen
            pass
        yield
    finally:
        channel.close()
