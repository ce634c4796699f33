"""Volumes: their rows in the database, their directories, and who uses them.

The row is the volume; `volumes/<name>/_data` holds its files. A directory is made before its row
and taken away under a name of its own (`.removed-…`) together with it, both under one lock. So a
row without a directory is a removal that was interrupted, a directory without a row one that was
never finished being made, or whose row a power failure has taken: it goes only where it is empty,
and a volume of its name that is made later has its files.
"""

from __future__ import annotations

import posix
import time

from proa.errors import Conflict, VolumeNotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.store.database import Constraint, sync_directory
from proa.store.events import Events
from proa.store.lock import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from proa.store.database import Database, Row

    T = TypeVar("T")

builtins_list = list

DATA = "_data"
DRIVER = "local"
REMOVED = ".removed-"
"""What marks a directory that is being deleted; no volume's name begins with a dot."""
_SELECT = "SELECT name, created, labels, options, used FROM volumes "
_ATTEMPTS = 8


@record
class VolumeRow:
    """A volume as the database has it."""

    name: str
    labels: Mapping[str, str]
    options: Mapping[str, str]
    """of the local driver"""
    created: int = 0
    """nanoseconds since 1970; 0 in a new one: now"""
    used: int = 0
    """when the last container that had it was removed, nanoseconds since 1970; 0: none was yet"""


class Volumes:
    """The volumes of a store."""

    def __init__(self, database: Database, directory: str, locks: str) -> None:
        self._database = database
        self._events = Events(database)
        self.root = directory
        self._lock = f"{locks}/volumes"

    def path(self, name: str) -> str:
        """The volume's own directory."""
        return f"{self.root}/{name}"

    def data(self, name: str) -> str:
        """Where its files are; where it has options, what is mounted in containers instead."""
        return f"{self.root}/{name}/{DATA}"

    def find(self, name: str) -> VolumeRow:
        """The volume of that name. Raises VolumeNotFound."""
        row = self._database.one(_SELECT + "WHERE name = ?1", (name,))
        if row is None:
            raise VolumeNotFound(f"no such volume: {name}; see 'proa volume ls'")
        return _volume(row)

    def list(self) -> list[VolumeRow]:
        """All volumes, by name."""
        return [_volume(row) for row in self._database.all(_SELECT + "ORDER BY name")]

    def counts(self) -> dict[str, int]:
        """How many containers have each volume; those that nobody has are not there."""
        return dict(self._database.all("SELECT volume, count(*) FROM volume_uses GROUP BY volume"))

    def users(self, name: str) -> builtins_list[tuple[str, str]]:
        """Ids and names of the containers that have the volume, running or not."""
        return self._database.all(
            "SELECT id, containers.name FROM volume_uses JOIN containers ON id = container"
            " WHERE volume = ?1 ORDER BY row",
            (name,),
        )

    def image_layers(self, container: str, image: str) -> builtins_list[str]:
        """Diff IDs, base first, of an image that is mounted in the container."""
        row = self._database.one(
            "SELECT layers FROM mounted_images WHERE container = ?1 AND image = ?2",
            (container, image),
        )
        return builtins_list(loads(row[0])) if row is not None else []

    def create(self, wanted: VolumeRow) -> VolumeRow:
        """Make the volume, unless there is one of that name; what there is now. It is durable.

        Raises NoSpace, PermissionDenied.
        """
        self._make((wanted,), lambda: None, durable=True)
        return self.find(wanted.name)

    def use(
        self,
        container: str,
        wanted: Sequence[VolumeRow],
        images: Sequence[str],
        insert: Callable[[], T],
        *,
        durable: bool,
    ) -> T:
        """Make those of the volumes `wanted` that are missing, do `insert`, which inserts the row
        of the container of the id `container`, and note that it has them: all of it or nothing.

        `images`: ids of images that are mounted in it. `durable`: new volumes outlive a power
        failure. Raises what `insert` raises, and Conflict where an image was removed just now.
        """

        def together() -> T:
            result = insert()
            for volume in wanted:
                self._database.run(
                    "INSERT OR IGNORE INTO volume_uses (volume, container) VALUES (?1, ?2)",
                    (volume.name, container),
                )
            for image in images:
                self._database.run(
                    "INSERT INTO mounted_images (container, image, layers) VALUES"
                    " (?1, ?2, (SELECT layers FROM images WHERE id = ?2))",
                    (container, image),
                )
            return result

        for _ in range(_ATTEMPTS):
            try:
                return self._make(wanted, together, durable=durable)
            except Constraint as error:
                if "mounted_images.layers" in error.rule:
                    break
                # someone has removed a volume since we looked: it is to be made anew
        else:
            raise Conflict("somebody keeps removing the volumes of a new container; try again")
        raise Conflict("an image to be mounted was removed in the meantime; load it again")

    def remove(self, name: str) -> str | None:
        """Remove a volume that no container has; a directory that the caller is to delete.

        Raises VolumeNotFound, Conflict where it is in use.
        """
        with FileLock(self._lock):
            if self._database.one("SELECT 1 FROM volumes WHERE name = ?1", (name,)) is None:
                raise VolumeNotFound(f"no such volume: {name}; see 'proa volume ls'")
            try:
                with self._database.transaction(durable=True):
                    return self._take_away(name)
            except Constraint:
                raise Conflict(
                    f"volume {name} is in use; see 'proa ps -a --filter volume={name}'"
                ) from None

    def forget(self, volumes: Iterable[str], delete: Callable[[], object]) -> builtins_list[str]:
        """Do `delete`, of the row of a container, and remove those of `volumes` that no other one
        has, at once.

        Returns the directories that the caller is to delete.
        """
        removed = []
        with FileLock(self._lock):
            with self._database.transaction():
                delete()
                for name in volumes:
                    used = "SELECT 1 FROM volume_uses WHERE volume = ?1"
                    if self._database.one(used, (name,)) is None:
                        removed.append(self._take_away(name))
        return [path for path in removed if path is not None]

    def sweep(self) -> builtins_list[str]:
        """Finish what killed processes have begun; the directories that the caller is to delete."""
        with FileLock(self._lock):
            try:
                names = set(posix.listdir(self.root))
            except FileNotFoundError:
                return []  # made with the first volume
            rows = {row.name for row in self.list()}
            for name in names - rows:
                if not name.startswith(REMOVED):
                    self._remove_empty(name)
            for name in rows - names:
                try:
                    self._database.run("DELETE FROM volumes WHERE name = ?1", (name,))
                except Constraint:
                    continue  # a container has it: who starts that is told what is missing
        return [f"{self.root}/{name}" for name in names if name.startswith(REMOVED)]

    def _make(self, wanted: Sequence[VolumeRow], then: Callable[[], T], *, durable: bool) -> T:
        known = "SELECT 1 FROM volumes WHERE name = ?1"
        if all(self._database.one(known, (volume.name,)) for volume in wanted):
            with self._database.transaction():
                return then()
        with FileLock(self._lock):
            missing = [
                volume for volume in wanted if self._database.one(known, (volume.name,)) is None
            ]
            try:
                for volume in missing:
                    self._make_directory(volume.name)
                if durable:
                    sync_directory(self.root)
                with self._database.transaction(durable=durable):
                    for volume in missing:
                        self._insert(volume)
                    return then()
            except BaseException:
                for volume in missing:
                    if self._database.one(known, (volume.name,)) is None:
                        self._remove_empty(volume.name)
                raise

    def _insert(self, volume: VolumeRow) -> None:
        self._database.run(
            "INSERT INTO volumes (name, created, labels, options) VALUES (?1, ?2, ?3, ?4)",
            (
                volume.name,
                volume.created or time.time_ns(),
                dumps(volume.labels),
                dumps(volume.options),
            ),
        )
        self._events.add("volume", "create", volume.name, {"driver": DRIVER})

    def _make_directory(self, name: str) -> None:
        for path, mode in ((self.root, 0o700), (self.path(name), 0o711), (self.data(name), 0o755)):
            try:
                posix.mkdir(path, mode)
            except FileExistsError:
                continue
            posix.chmod(path, mode)  # whatever the umask is

    def _take_away(self, name: str) -> str | None:
        """Within a transaction: delete the row, rename the directory."""
        self._database.run("DELETE FROM volumes WHERE name = ?1", (name,))
        self._events.add("volume", "destroy", name, {"driver": DRIVER})
        doomed = f"{self.root}/{REMOVED}{posix.urandom(8).hex()}"
        try:
            posix.rename(self.path(name), doomed)
        except FileNotFoundError:
            return None
        return doomed

    def _remove_empty(self, name: str) -> None:
        for path in (self.data(name), self.path(name)):
            try:
                posix.rmdir(path)
            except OSError:
                continue


def _volume(row: Row) -> VolumeRow:
    name, created, labels, options, used = row
    return VolumeRow(name, loads(labels), loads(options), created, used)
