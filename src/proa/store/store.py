"""The store: one directory that holds everything, shared by any number of processes."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, NoSpace, PermissionDenied
from proa.store.containers import Containers
from proa.store.database import Database, create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from proa.store.blobs import Blobs
    from proa.store.events import Events
    from proa.store.images import Images
    from proa.store.layers import Layers
    from proa.store.leases import Leases
    from proa.store.networks import Networks
    from proa.store.volumes import Volumes

_DIRECTORIES = (
    *("blobs", "blobs/sha256", "ingest", "layers", "containers", "volumes", "cache"),
    *("run", "run/leases", "run/locks"),
)
_ENOSPC, _EDQUOT = 28, 122


class Store:
    """What is under one root directory (see ARCHITECTURE.md, "On disk")."""

    def __init__(self, root: str) -> None:
        """The store at the absolute path `root`, which exists; see `open`."""
        self.root = root
        self.database = Database(self.path("proa.db"))
        self.containers = Containers(self.database)
        self._images: Images | None = None
        self._layers: Layers | None = None
        self._blobs: Blobs | None = None
        self._networks: Networks | None = None

    @classmethod
    def open(cls, root: str) -> Self:
        """The store at `root`, made where it is missing.

        Raises InvalidArgument, PermissionDenied, NoSpace.
        """
        if root[:1] != "/":
            root = f"{posix.getcwd()}/{root}"
        root = root.rstrip("/")
        store = cls(root)
        try:
            # made last: where it is, everything is
            posix.stat(store.database.path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            _make(store)
        return store

    @property
    def images(self) -> Images:
        """The images by reference and id."""
        if self._images is None:
            from proa.store.images import Images

            self._images = Images(self.database)
        return self._images

    @property
    def layers(self) -> Layers:
        """The unpacked layers by diff ID."""
        if self._layers is None:
            from proa.store.layers import Layers

            self._layers = Layers(self.database, self.path("layers"), self.path("run", "locks"))
        return self._layers

    @property
    def blobs(self) -> Blobs:
        """The content-addressed blobs (off the hot path: imports `hashlib`)."""
        if self._blobs is None:
            from proa.store.blobs import Blobs

            self._blobs = Blobs(self.path("blobs"), self.path("ingest"))
        return self._blobs

    @property
    def events(self) -> Events:
        """What happened, and the way to say so."""
        return self.containers.events

    @property
    def networks(self) -> Networks:
        """The networks, and the addresses that are given out."""
        if self._networks is None:
            from proa.store.networks import Networks

            self._networks = Networks(self.database, self.events)
        return self._networks

    @property
    def leases(self) -> Leases:
        """What processes work on and nothing refers to yet (off the hot path)."""
        from proa.store.leases import Leases

        return Leases(self.database, self.path("run", "leases"))

    @property
    def volumes(self) -> Volumes:
        """The named volumes (off the hot path)."""
        from proa.store.volumes import Volumes

        return Volumes(self.database, self.path("volumes"), self.path("run", "locks"))

    def mend(self) -> None:
        """Make the directories anew that someone has removed. Raises as `open` does."""
        _make(self)

    def path(self, *parts: str) -> str:
        """The absolute path of something in the store."""
        return "/".join((self.root, *parts))


def _make(store: Store) -> None:
    place = store.root or "/"
    try:
        _make_directories(store.root)
        for name in _DIRECTORIES:
            _make_directory(store.path(name))
        create(store.database.path)
    except (FileExistsError, NotADirectoryError):
        raise InvalidArgument(f"{place} cannot hold a store: it is not a directory") from None
    except PermissionError:
        raise PermissionDenied(
            f"no permission to make a store in {place}; be root, or give another --root"
        ) from None
    except OSError as error:
        if error.errno in (_ENOSPC, _EDQUOT):
            raise NoSpace(f"no space left to make a store in {place}") from None
        raise PermissionDenied(f"cannot make a store in {place}: {error.strerror}") from None


def _make_directories(path: str) -> None:
    """Make `path` and what is missing above it; only the last one is for its owner alone."""
    missing = []
    while path and not _is_directory(path):
        missing.append(path)
        path = path.rpartition("/")[0]
    for directory in reversed(missing):
        _make_directory(directory, 0o700 if directory == missing[0] else 0o755)


def _make_directory(path: str, mode: int = 0o700) -> None:
    try:
        posix.mkdir(path, mode)
    except FileExistsError:
        if not _is_directory(path):
            raise


def _is_directory(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o040000
    except FileNotFoundError:
        return False
