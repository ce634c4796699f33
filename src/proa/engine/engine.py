"""The engine: one root directory, and what can be done with the containers and images in it."""

from __future__ import annotations

import posix

from proa.engine.containers import Containers
from proa.monitor.launch import Spawner, prepare
from proa.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from proa.engine.images import Images
    from proa.lean.channel import Channel

DEFAULT_ROOT = "/var/lib/proa"


class Engine:
    """Containers and images under one root directory.

        engine = Engine()
        print(engine.containers.run("alpine", ["echo", "hi"]))

    `root`: a directory, made where it is missing; by default /var/lib/proa, for an ordinary user
    ~/.local/share/proa. Any number of engines, in any number of processes, share a root.
    `spawner`: keep a process at hand that forks monitors, for programs that start more than one
    container; it ends with this one.
    """

    def __init__(self, root: str | None = None, *, spawner: bool = True) -> None:
        self.store = Store.open(root or default_root())
        self.root = self.store.root
        self.containers = Containers(self)
        self._images: Images | None = None
        self._keep_spawner = spawner
        self._spawner: Spawner | None = None

    @property
    def images(self) -> Images:
        """The images of this engine."""
        if self._images is None:
            from proa.engine.images import Images

            self._images = Images(self.store)
        return self._images

    def prepare_monitor(self) -> Channel:
        """A process that waits for a container to run; closing the channel ends it."""
        if not self._keep_spawner:
            return prepare()
        if self._spawner is None:
            self._spawner = Spawner()
        return self._spawner.prepare()

    def close(self) -> None:
        """Let go of what this object holds. Containers go on."""
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None
        self.store.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def default_root() -> str:
    """Where this user's containers are: /var/lib/proa, or below the user's XDG directories."""
    if posix.geteuid() == 0:
        return DEFAULT_ROOT
    environment = posix.environ
    data = environment.get(b"XDG_DATA_HOME")
    if not data:
        data = environment.get(b"HOME", b"/") + b"/.local/share"
    return f"{data.decode('utf-8', 'surrogateescape')}/proa"
