"""The volumes and images among a container's mounts: found, made, counted."""

from __future__ import annotations

import posix

from proa.engine.config import Mount
from proa.errors import ImageNotFound, InvalidArgument, NotFound, Unsupported
from proa.lean.record import record, replace
from proa.store.volumes import DRIVER, VolumeRow
from proa.volume import local
from proa.volume.draft import COPIED
from proa.volume.names import ANONYMOUS, check_name, check_subpath, generate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from proa.engine.config import ContainerConfig
    from proa.store.containers import ContainerRow
    from proa.store.events import Happening
    from proa.store.store import Store

    T = TypeVar("T")

_KINDS = ("volume", "image")


@record
class Mounted:
    """What a container is to have beside its own file system."""

    config: ContainerConfig
    """with a name for each volume"""
    volumes: tuple[VolumeRow, ...]
    images: tuple[str, ...]
    """ids"""

    def insert(self, store: Store, id: str, insert: Callable[[], T]) -> T:
        """Do `insert`, of the row of the container `id`, together with what belongs to it."""
        # an anonymous volume of a container that goes when it ends need not outlive the machine
        fleeting = self.config.auto_remove and all(ANONYMOUS in row.labels for row in self.volumes)
        return store.volumes.use(id, self.volumes, self.images, insert, durable=not fleeting)


def resolve(store: Store, config: ContainerConfig, image_volumes: Iterable[str]) -> Mounted:
    """The volumes and images that `config` and the image ask for; nothing is made yet.

    `image_volumes`: the image's VOLUMEs, for which there is an anonymous volume each unless
    something else is mounted there. Raises InvalidArgument, Unsupported, NotFound.
    """
    mounts = list(config.mounts)
    taken = {_place(mount.target) for mount in mounts}
    for path in image_volumes:
        target = _place(path)
        if target not in taken:
            taken.add(target)
            mounts.append(Mount("volume", target, short=True))
    rows: dict[str, VolumeRow] = {}
    images: list[str] = []
    found: list[Mount] = []
    for mount in mounts:
        if mount.kind == "volume":
            mount = _named(mount)
            if mount.source not in rows:
                rows[mount.source] = _row(mount)
        elif mount.kind == "image":
            check_subpath(mount.subpath)
            try:
                image = store.images.resolve(mount.image_id or mount.source)
            except ImageNotFound as error:
                # of another kind: it is not the container's image that is to be pulled
                raise NotFound(f"cannot mount {mount.source} at {mount.target}: {error}") from None
            images.append(str(image.id))
            mount = replace(mount, image_id=str(image.id), read_only=True)
        found.append(mount)
    return Mounted(replace(config, mounts=tuple(found)), tuple(rows.values()), tuple(images))


def entries(store: Store, row: ContainerRow, mounts: Iterable[Mount]) -> list[dict[str, Any]]:
    """What the monitor has to know of `mounts`: of those that the spec alone does not say."""
    started = bool(row.state.get("started_at"))
    found = []
    for mount in mounts:
        if mount.kind not in _KINDS:
            continue
        entry: dict[str, Any] = {
            "kind": mount.kind,
            "source": mount.source,
            "target": _place(mount.target),
            "subpath": mount.subpath,
            "copy": False,
            "options": {},
        }
        if mount.kind == "image":
            layers = store.volumes.image_layers(row.id, mount.image_id)
            found.append({**entry, "layers": layers})
            continue
        options = store.volumes.find(mount.source).options
        entry["options"] = dict(options)
        elsewhere = local.is_mounted(options)
        nothing = started or mount.no_copy or mount.inherited or mount.subpath
        if not local.is_in_memory(options):
            # in this order: what is not empty while there is no copy beside it is complete
            empty = not nothing and (elsewhere or _is_empty(store, mount.source))
            copied = f"{store.volumes.path(mount.source)}/{COPIED}"
            entry["copy"] = empty or posix.access(copied, posix.F_OK)
        if entry["copy"] or mount.subpath or elsewhere:
            found.append(entry)
    return found


def anonymous(request: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the anonymous volumes of a container, of whose row this is the request."""
    return tuple(
        dict.fromkeys(
            str(mount["source"]) for mount in request.get("mounts") or () if mount.get("anonymous")
        )
    )


def delete(store: Store, row: ContainerRow, happenings: Sequence[Happening] = ()) -> None:
    """Delete a container's row, and its anonymous volumes that no other one has.

    `happenings`: events that came before, and are not known yet.
    """
    from proa.engine.rootless import snapshots

    names = anonymous(row.config["request"])
    if not names:
        store.containers.delete(row.id, happenings)
        return
    for path in store.volumes.forget(names, lambda: store.containers.delete(row.id, happenings)):
        snapshots(store.root).remove(path)


def _is_empty(store: Store, name: str) -> bool:
    try:
        return not posix.listdir(store.volumes.data(name))
    except PermissionError:
        return True  # an ordinary user's container has closed it: its monitor can look
    except FileNotFoundError:
        return False  # who starts the container is told


def _named(mount: Mount) -> Mount:
    if mount.driver not in ("", DRIVER):
        raise Unsupported(f"volume driver {mount.driver}: there are no plugins; use {DRIVER}")
    if mount.subpath:
        check_subpath(mount.subpath)
        if not mount.source:
            raise InvalidArgument(
                f"subpath {mount.subpath} at {mount.target}: it needs a volume that has a name"
            )
    if mount.source:
        check_name(mount.source)
        return mount
    return replace(mount, source=generate(), anonymous=True)


def _row(mount: Mount) -> VolumeRow:
    options = dict(mount.volume_options or {})
    local.check_options(options)
    labels = dict(mount.volume_labels or {})
    if mount.anonymous:
        labels[ANONYMOUS] = ""
    return VolumeRow(mount.source, labels, options)


def _place(path: str) -> str:
    from proa.engine.mounts import clean

    return clean(path)
