"""The volumes of an engine: make, find, list, measure and remove them."""

from __future__ import annotations

import re
import time

from proa.errors import Conflict, InvalidArgument, NotFound, Unsupported
from proa.store.volumes import DRIVER, VolumeRow
from proa.volume import local
from proa.volume.names import ANONYMOUS, check_name, generate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from proa.engine.engine import Engine

    Filters = Mapping[str, str | bool | Sequence[str]]
builtins_list = list

_LIST_FILTERS = ("dangling", "driver", "label", "name")
_PRUNE_FILTERS = ("all", "label", "label!")
_TRUE, _FALSE = ("1", "t", "true", "True", "TRUE"), ("0", "f", "false", "False", "FALSE")


class Volume:
    """A volume of an engine; what it says is as of when it was looked up."""

    def __init__(self, engine: Engine, row: VolumeRow) -> None:
        self._engine = engine
        self._row = row

    def __repr__(self) -> str:
        return f"<Volume {self.short_id}>"

    @property
    def id(self) -> str:
        """Its name."""
        return self._row.name

    @property
    def short_id(self) -> str:
        """The first twelve characters of its name."""
        return self._row.name[:12]

    @property
    def name(self) -> str:
        """Its name."""
        return self._row.name

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self._row.labels)

    @property
    def mountpoint(self) -> str:
        """Where its files are on the host."""
        return self._engine.store.volumes.data(self._row.name)

    @property
    def attrs(self) -> dict[str, Any]:
        """All about it, in the form of `docker volume inspect`."""
        return {
            "CreatedAt": _local(self._row.created),
            "Driver": DRIVER,
            "Labels": dict(sorted(self._row.labels.items())) or None,
            "Mountpoint": self.mountpoint,
            "Name": self._row.name,
            "Options": dict(sorted(self._row.options.items())) or None,
            "Scope": "local",
        }

    def reload(self) -> None:
        """Look again. Raises VolumeNotFound."""
        self._row = self._engine.store.volumes.find(self._row.name)

    def remove(self, force: bool = False) -> None:
        """Remove it with its files; `force`: also where it is gone already.

        Raises VolumeNotFound, Conflict where a container has it.
        """
        self._engine.volumes.remove(self._row.name, force=force)


class Volumes:
    """Volumes by name, and ways to make new ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store.volumes

    def create(
        self,
        name: str | None = None,
        driver: str | None = None,
        driver_opts: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | Sequence[str] | None = None,
    ) -> Volume:
        """Make a volume, with a name of its own where none is given; one that is there stays.

        `driver_opts`: `type`, `device` and `o` of the local driver. Raises InvalidArgument,
        Unsupported for another driver.
        """
        if driver not in (None, "", DRIVER):
            raise Unsupported(f"volume driver {driver}: there are no plugins; use {DRIVER}")
        options = {key: str(value) for key, value in (driver_opts or {}).items()}
        local.check_options(options)
        if isinstance(labels, list | tuple):
            wanted = dict.fromkeys(map(str, labels), "")
        else:
            wanted = dict(labels or {})  # type: ignore[arg-type]
        if name:
            check_name(name)
        else:
            name = generate()
            wanted[ANONYMOUS] = ""
        self.sweep()
        return Volume(self._engine, self._store.create(VolumeRow(name, wanted, options)))

    def get(self, volume_id: str) -> Volume:
        """The volume of that name. Raises VolumeNotFound."""
        return Volume(self._engine, self._store.find(volume_id))

    def list(self, filters: Filters | None = None) -> builtins_list[Volume]:
        """The volumes, by name. `filters`: dangling, driver, label, name; one value or several.

        Raises InvalidArgument.
        """
        wanted = _several(filters, _LIST_FILTERS)
        rows = self._store.list()
        if "dangling" in wanted:
            dangling = _truth("dangling", wanted["dangling"])
            self._settle()
            used = self._store.counts()
            rows = [row for row in rows if (row.name not in used) == dangling]
        if names := wanted.get("name"):
            patterns = [_pattern(text) for text in names]
            rows = [row for row in rows if any(pattern.search(row.name) for pattern in patterns)]
        if (drivers := wanted.get("driver")) and DRIVER not in drivers:
            rows = []
        labels = wanted.get("label", ())
        return [
            Volume(self._engine, row)
            for row in rows
            if all(_has_label(row, label) for label in labels)
        ]

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume with its files; `force`: without an error where there is none.

        Raises VolumeNotFound, Conflict naming the containers that have it.
        """
        self.sweep()
        try:
            self._remove(name)
        except NotFound:
            if not force:
                raise

    def prune(self, filters: Filters | None = None, *, unused_for: float = 0) -> dict[str, Any]:
        """Remove the anonymous volumes that no container has, with the filter `all` the others
        too: `VolumesDeleted` (names or None), `SpaceReclaimed` (bytes).

        Further filters: `label`, and `label!`: has it not. `unused_for`: only those that no
        container has had for so many seconds. Raises InvalidArgument.
        """
        wanted = _several(filters, _PRUNE_FILTERS)
        everything = "all" in wanted and _truth("all", wanted["all"])
        self.sweep()
        self._settle()
        used = self._store.counts()
        latest = time.time_ns() - int(unused_for * 1_000_000_000)
        names = [
            row.name
            for row in self._store.list()
            if row.name not in used
            and (not unused_for or max(row.used, row.created) < latest)
            and (everything or ANONYMOUS in row.labels)
            and all(_has_label(row, label) for label in wanted.get("label", ()))
            and not any(_has_label(row, label) for label in wanted.get("label!", ()))
        ]
        sizes = self._sizes(names)
        deleted: builtins_list[str] = []
        for name in names:
            try:
                self.discard(self._store.remove(name))
            except (Conflict, NotFound):
                continue  # taken, or removed by someone else, just now
            deleted.append(name)
        space = sum(sizes.get(name, 0) for name in deleted)
        self._engine.store.events.add("volume", "prune", "", {"reclaimed": str(space)})
        return {"VolumesDeleted": deleted or None, "SpaceReclaimed": space}

    def sweep(self) -> None:
        """Finish what killed processes have begun: removals, and volumes that never were."""
        for path in self._store.sweep():
            self.discard(path)

    def _remove(self, name: str) -> None:
        try:
            self.discard(self._store.remove(name))
            return
        except Conflict:
            self._settle()  # what a killed process has left needs it no more
        users = self._store.users(name)
        if users:
            named = ", ".join(f"{user} ({id[:12]})" for id, user in users)
            several = "containers" if len(users) > 1 else "container"
            raise Conflict(
                f"volume {name} is in use by {several} {named}: remove"
                f" {'them' if len(users) > 1 else 'it'} first, with 'proa rm'"
            )
        self.discard(self._store.remove(name))

    def discard(self, path: str | None) -> None:
        """Delete what was taken away from the volumes; see `store.volumes`."""
        from proa.engine.rootless import snapshots

        if path is not None:
            snapshots(self._engine.root).remove(path)

    def _settle(self) -> None:
        """Put in order the containers whose monitors have died, so that they have no volumes."""
        self._engine.containers.summaries(all=True)

    def _sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes that the files of each volume say they have."""
        wanted = [*names]
        try:
            return sizes(self._engine.root, wanted)
        except PermissionError:
            # an ordinary user's containers have made files that are not that user's
            from proa.monitor.inside import call

            found: dict[str, int] = call(
                "proa.engine.volumes:sizes", {"root": self._engine.root, "names": wanted}
            )
            return found


def sizes(root: str, names: Sequence[str]) -> dict[str, int]:
    """Bytes of the volumes `names` of the engine at `root`; those that are gone are left out."""
    from proa.snapshot.overlay import measure

    found = {}
    for name in names:
        try:
            found[name] = measure(f"{root}/volumes/{name}/_data").size
        except NotFound:
            continue
    return found


def _local(created: int) -> str:
    """A moment as Docker shows it here: RFC 3339, to the second, in the machine's time zone."""
    moment = time.localtime(created // 1_000_000_000)
    zone = time.strftime("%z", moment)
    offset = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", moment) + offset


def _several(filters: Filters | None, known: Sequence[str]) -> dict[str, builtins_list[str]]:
    found = {}
    for name, value in (filters or {}).items():
        if name not in known:
            raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(known)}")
        found[name] = (
            [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]
        )
    return found


def _truth(name: str, values: Sequence[str]) -> bool:
    for value in values:
        if value not in (*_TRUE, *_FALSE):
            raise InvalidArgument(f"invalid filter '{name}={value}'; it is true or false")
    return values[0] in _TRUE


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgument(
            f"invalid filter 'name={text}': not a regular expression ({error})"
        ) from None


def _has_label(row: VolumeRow, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    return name in row.labels and (not equals or row.labels[name] == value)
