"""The engine: one root directory, and what can be done with the containers and images in it."""

from __future__ import annotations

import posix

from proa.engine.containers import Containers
from proa.engine.monitors import Monitors
from proa.store.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Self

    from proa.engine.boot import Outcome
    from proa.engine.check import Finding
    from proa.engine.events import EventStream, Moment
    from proa.engine.images import Images
    from proa.engine.manifests import Manifests
    from proa.engine.networks import Networks
    from proa.engine.volumes import Volumes
    from proa.lean.channel import Channel

DEFAULT_ROOT = "/var/lib/proa"


class Engine:
    """Containers and images under one root directory.

        engine = Engine()
        print(engine.containers.run("alpine", ["echo", "hi"]))

    `root`: a directory, made where it is missing; by default /var/lib/proa, for an ordinary user
    ~/.local/share/proa. Any number of engines, in any number of processes, share a root.
    `monitors`: where the processes come from that stay with containers; by default a spawner is
    kept at hand, which ends with this process.
    """

    def __init__(self, root: str | None = None, *, monitors: Monitors | None = None) -> None:
        self.store = Store.open(root or default_root())
        self.root = self.store.root
        self.containers = Containers(self)
        self._images: Images | None = None
        self._volumes: Volumes | None = None
        self.on_warning: Callable[[str], None] | None = None
        """called with a line about what a container was started without, such as a limit for
        which an ordinary user has no cgroup"""
        self._monitors = monitors or Monitors(spawner=True)

    @property
    def images(self) -> Images:
        """The images of this engine."""
        if self._images is None:
            from proa.engine.images import open_images

            self._images = open_images(self.store)
        return self._images

    def events(
        self,
        since: Moment = None,
        until: Moment = None,
        filters: Mapping[str, str | Sequence[str]] | None = None,
        decode: bool | None = None,
    ) -> EventStream:
        """What happens from now on, or from `since` to `until` (a datetime, or seconds since 1970).

        Lines of JSON as in Docker's API, with `decode` objects instead. `filters`: as `proa
        events --filter` has them, one value or several. It ends at `until`, or by `close()`.
        Raises InvalidArgument.
        """
        from proa.engine.events import Events, EventStream, nanoseconds

        several = {
            name: [value] if isinstance(value, str) else list(value)
            for name, value in (filters or {}).items()
        }
        found = Events(
            self.store, since=nanoseconds(since), until=nanoseconds(until), filters=several
        )
        return EventStream(found, decode=bool(decode))

    @property
    def networks(self) -> Networks:
        """The networks of this engine."""
        from proa.engine.networks import Networks

        return Networks(self)

    @property
    def volumes(self) -> Volumes:
        """The volumes of this engine."""
        if self._volumes is None:
            from proa.engine.volumes import Volumes

            self._volumes = Volumes(self)
        return self._volumes

    @property
    def manifests(self) -> Manifests:
        """Manifests in registries, and lists of them that are being put together here."""
        from proa.engine.manifests import Manifests

        return Manifests(self.store)

    def login(self, username: str, password: str, registry: str | None = None) -> dict[str, str]:
        """Log in to a registry, Docker's where none is named, and keep the credentials.

        They are kept where Docker keeps them: by a credential helper, or in ~/.docker/config.json.
        Raises Unauthorized, Unavailable, TimedOut, InvalidArgument.
        """
        from proa.engine.registries import login

        place = login(registry, username, password)
        return {"Status": "Login Succeeded", "IdentityToken": "", "KeptBy": place}

    def verify_login(self, username: str, password: str, registry: str | None = None) -> None:
        """Ask a registry whether it takes these credentials. Raises as `login` does."""
        from proa.engine.registries import verify_login

        verify_login(registry, username, password)

    def describe_remote(
        self, name: str, auth_config: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """What a registry has under a name, in the form of Docker's API: `Descriptor`, `Platforms`.

        Raises ImageNotFound, Unauthorized, Unavailable.
        """
        from proa.engine.registries import describe_remote

        return describe_remote(name, auth_config)

    def logout(self, registry: str | None = None) -> bool:
        """Forget the credentials of a registry; whether there were any."""
        from proa.engine.registries import logout

        return logout(registry)[1]

    def prune(
        self,
        *,
        all: bool = False,
        volumes: bool = False,
        filters: Mapping[str, str | Sequence[str]] | None = None,
        unused_for: float = 0,
        keep_storage: int | None = None,
    ) -> dict[str, Any]:
        """Remove everything that nobody needs: what the `prune` of each kind removes, in one go.

        `all`: all images that no container uses; `volumes`: anonymous ones too. `filters`: label,
        label!, until. `unused_for` (seconds), `keep_storage` (bytes of images): as there. Raises
        InvalidArgument.
        """
        from proa.engine.prune import SystemPrune

        several = {
            name: [value] if isinstance(value, str) else list(value)
            for name, value in (filters or {}).items()
        }
        return SystemPrune(
            self,
            all=all,
            volumes=volumes,
            filters=several,
            unused_for=unused_for,
            keep_storage=keep_storage,
        ).run()

    def info(self) -> dict[str, Any]:
        """What it has and can do, and what machine it is on, in the form of Docker's API."""
        from proa.engine.info import facts

        return facts(self)

    def version(self) -> dict[str, Any]:
        """The versions of proa and of what it stands on, in the form of Docker's API."""
        from proa.engine.info import versions

        return versions()

    def check_store(self, *, verify: bool = False, repair: bool = False) -> list[Finding]:
        """Whether all is there that the database speaks of, and nothing else, part by part.

        `verify`: read and hash all blobs; `repair`: mend what can be mended.
        """
        from proa.engine.check.store import check_store

        return check_store(self, verify=verify, repair=repair)

    def df(self) -> dict[str, Any]:
        """What is on disk, in the form of Docker's API; sizes are what du(1) says."""
        from proa.engine.disk import disk_use

        return disk_use(self).attrs

    def prepare_monitor(self) -> Channel:
        """A process that waits for a container to run; closing the channel ends it."""
        return self._monitors.prepare()

    def boot(self) -> list[Outcome]:
        """Start what ran when the machine went down, as restart policies say: `proa system boot`.

        What came of each container: its name, and the error where it did not start.
        """
        from proa.engine.boot import boot

        return boot(self)

    def halt(self) -> list[Outcome]:
        """Stop all that runs, such that `boot` starts it again: `proa system halt`."""
        from proa.engine.boot import halt

        return halt(self)

    def warn(self, texts: Iterable[str]) -> None:
        """Pass `texts` on to whoever wants to know."""
        if self.on_warning is not None:
            for text in texts:
                self.on_warning(text)

    def close(self) -> None:
        """Let go of what this object holds. Containers go on."""
        self._monitors.close()
        self.containers.close()
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
        home = environment.get(b"HOME")
        if not home:
            from proa.monitor.rootless import home_of

            home = home_of(posix.geteuid()).encode("utf-8", "surrogateescape")
        data = home + b"/.local/share"
    return f"{data.decode('utf-8', 'surrogateescape')}/proa"
