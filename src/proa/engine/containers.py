"""The containers of an engine: make, run, find and list them."""

from __future__ import annotations

import posix

from proa.engine.container import Container
from proa.errors import ContainerNotFound, ImageNotFound, ProaError, Unavailable
from proa.lean.record import record, replace
from proa.monitor.lock import MonitorLocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Literal, TypeVar, overload

    from proa.engine.attach import Attachment, Ends
    from proa.engine.config import ContainerConfig
    from proa.engine.engine import Engine
    from proa.store.containers import ContainerRow

    T = TypeVar("T")
    builtins_list = list


@record
class ContainerSummary:
    """What a list shows of a container."""

    id: str
    name: str
    image: str
    """as it was asked for"""
    image_id: str
    command: tuple[str, ...]
    created: int
    """nanoseconds since 1970"""
    state: str
    """created, running, paused, restarting, removing, exited, dead"""
    exit_code: int
    started_at: str
    finished_at: str
    labels: Mapping[str, str]
    mounts: tuple[str, ...]
    networks: tuple[str, ...]
    ports: tuple[tuple[int, str, str, int], ...] = ()
    """published: (container's port, protocol, host's address, host's port)"""
    targets: tuple[str, ...] = ()
    """where in the container something is mounted"""
    exposed_ports: tuple[str, ...] = ()
    """as in an image: `80/tcp`"""
    local_volumes: int = 0
    """how many volumes it has"""
    error: str = ""
    health: str | None = None
    """starting, healthy, unhealthy; None where nobody checks"""
    size_rw: int | None = None
    size_rootfs: int | None = None


_ANSWER = 0.5
"""Seconds that a monitor has to say that its container runs."""


class Containers:
    """Containers by name, and ways to make new ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._locks: MonitorLocks | None = None

    def create(self, config: ContainerConfig) -> Container:
        """Make a container that does not run yet. Raises ImageNotFound, InvalidArgument …"""
        container = self._make(config, owner=0)
        row = container.row
        if any(mount["kind"] == "volume" for mount in row.config["request"].get("mounts", ())):
            from proa.engine.fill import fill_new

            try:
                fill_new(self._engine.store, row)
            except BaseException:
                container.remove(v=True)
                raise
        return container

    def _create(self, config: ContainerConfig) -> Container:
        """A container that this process starts at once."""
        return self._make(config, owner=posix.getpid())

    def _make(self, config: ContainerConfig, *, owner: int) -> Container:
        from proa.engine.create import create

        row = create(self._engine.store, config, owner=owner)
        alone = row.config["request"]["network_mode"] == "none" != config.network_mode
        if alone and row.config["process"].get("exposed_ports"):
            self._engine.warn(
                [
                    "the ports that the container exposes are not reached: ordinary users have no"
                    " bridges yet; use --network host for the host's network"
                ]
            )
        return Container(self._engine, row)

    if TYPE_CHECKING:
        # what is returned depends on `detach`
        @overload
        def run(
            self,
            image: str,
            command: str | Sequence[str] | None = None,
            *,
            detach: Literal[False] = False,
            stream: Literal[False] = False,
            **options: Any,
        ) -> bytes: ...

        @overload
        def run(
            self,
            image: str,
            command: str | Sequence[str] | None = None,
            *,
            detach: Literal[False] = False,
            stream: Literal[True],
            **options: Any,
        ) -> Iterator[bytes]: ...

        @overload
        def run(
            self,
            image: str,
            command: str | Sequence[str] | None = None,
            *,
            detach: Literal[True],
            **options: Any,
        ) -> Container: ...

    def run(
        self,
        image: str,
        command: str | Sequence[str] | None = None,
        *,
        detach: bool = False,
        **options: Any,
    ) -> Any:
        """Run a command in a new container.

        An image that is not here is pulled. Returns its standard output (with `stderr=True`
        standard error too), or with `detach` the Container. Raises ContainerFailed where the exit
        code is not 0, and what pulling raises. `options`: as `proa run` has them, see
        `engine.options`; with `stream=True` an iterator of the output instead, which raises at
        its end.
        """
        from proa.engine.capture import run_captured, run_streamed
        from proa.engine.options import to_config

        wanted = to_config(image, command, options)

        def run() -> Any:
            if detach:
                return self.run_detached(wanted.config)
            if wanted.stream:
                return run_streamed(self, wanted)
            return run_captured(self, wanted)

        try:
            return run()
        except ImageNotFound:
            self._engine.images.pull(wanted.config.image, platform=wanted.config.platform)
        return run()

    def run_detached(
        self,
        config: ContainerConfig,
        *,
        on_created: Callable[[Container], None] | None = None,
    ) -> Container:
        """Make a container and start it; `on_created` is called in between."""
        monitor = self._engine.prepare_monitor()
        try:
            container = self._create(config)
            if on_created is not None:
                on_created(container)
            self._start(container, lambda: container.start(monitor=monitor))
        finally:
            monitor.close()
        return container

    def run_attached(
        self,
        config: ContainerConfig,
        ends: Ends,
        *,
        sig_proxy: bool = True,
        detach_keys: str | None = None,
        on_created: Callable[[Container], None] | None = None,
    ) -> int:
        """Make a container, start it, and stay attached to it until it ends; its exit code.

        `on_created` is called with the Container before it starts. Raises Detached where the
        user leaves it.
        """
        attachment = self.begin_attached(
            config, ends, sig_proxy=sig_proxy, detach_keys=detach_keys, on_created=on_created
        )
        return attachment.run()

    def begin_attached(
        self,
        config: ContainerConfig,
        ends: Ends,
        *,
        sig_proxy: bool = False,
        detach_keys: str | None = None,
        on_created: Callable[[Container], None] | None = None,
    ) -> Attachment:
        """As `run_attached`, up to the start; `run()` the result."""
        # the monitor's interpreter starts up while we look for the image
        monitor = self._engine.prepare_monitor()
        try:
            container = self._create(config)
            if on_created is not None:
                on_created(container)
            return self._start(
                container,
                lambda: container.start_attached(
                    monitor, ends, sig_proxy=sig_proxy, detach_keys=detach_keys
                ),
            )
        except BaseException:
            monitor.close()
            raise

    def start(
        self, container: Container, *, stream: int | None = None, attach: Mapping[str, Any] = {}
    ) -> None:
        """As `Container.start`; with `auto_remove` it is removed where it does not start."""
        self._start(container, lambda: container.start(stream=stream, attach=dict(attach)))

    def get(self, name: str) -> Container:
        """The container of that name, id or id prefix. Raises ContainerNotFound."""
        return Container(self._engine, self._settled(self._engine.store.containers.find(name)))

    def list(
        self,
        *,
        all: bool = False,
        before: str | None = None,
        since: str | None = None,
        limit: int | None = None,
        filters: Mapping[str, str | int | Sequence[str]] | None = None,
        sparse: bool = False,
        ignore_removed: bool = True,
    ) -> builtins_list[Container]:
        """The containers, newest first: those that run, or `all`.

        `before`, `since`: made before or after the one of that name or id. `filters`: as
        `proa ps --filter` has them, one value or several: `{"label": "a=b"}`. `sparse` and
        `ignore_removed` are docker-py's: here they make no difference.
        """
        del sparse, ignore_removed
        several: dict[str, Sequence[str]] = {
            name: value if isinstance(value, list | tuple) else [_text(value)]
            for name, value in (filters or {}).items()
        }
        for name, other in (("before", before), ("since", since)):
            if other:
                several[name] = [other]
        found = self.summaries(all=all, limit=limit, filters=several)
        containers = []
        for item in found:
            try:
                containers.append(self.get(item.id))
            except ContainerNotFound:
                continue  # removed just now
        return containers

    def summaries(
        self,
        *,
        all: bool = False,
        limit: int | None = None,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> builtins_list[ContainerSummary]:
        """What a list of containers shows: as `list`, without opening each.

        `filters`: as `proa ps --filter` has them.
        """
        from proa.engine import recover

        store = self._engine.store
        running = recover.started(store)
        rows = store.containers.list()
        recover.sweep(store, frozenset(row.id for row in rows), running)
        rows = [self._settled(row, row.id in running) for row in rows]
        found = [summarize(row) for row in rows if row.state["status"] != "gone"]
        if filters:
            from proa.engine.filters import matching

            found = matching(found, filters, self._engine.store)
            all = all or "status" in filters or "exited" in filters
        if not all and limit is None:
            found = [item for item in found if item.state in ("running", "paused", "restarting")]
        return found[:limit] if limit is not None else found

    def prune(
        self,
        filters: Mapping[str, str | Sequence[str]] | None = None,
        *,
        unused_for: float = 0,
    ) -> dict[str, Any]:
        """Remove those that do not run: `ContainersDeleted` (ids or None), `SpaceReclaimed`.

        `filters`: `label`, `label!` and `until`, one value or several. `unused_for`: only those
        that have not run for so many seconds. Raises InvalidArgument.
        """
        from proa.engine.prune import prune

        several = {
            name: [value] if isinstance(value, str) else value
            for name, value in (filters or {}).items()
        }
        return prune(self._engine, several, unused_for=unused_for)

    def close(self) -> None:
        """Let go of what this object holds."""
        if self._locks is not None:
            self._locks.close()
            self._locks = None

    def _settled(self, row: ContainerRow, running: bool | None = None) -> ContainerRow:
        """The row as it is: where its monitor has died, put in order first.

        `running`: whether a monitor has made its directory, as far as that is known.
        """
        status = row.state["status"]
        if status == "exited" or (status == "created" and not row.state.get("owner")):
            if running is None:
                running = posix.access(self._engine.store.path("run", row.id), posix.F_OK)
            if not running:
                return row
        if self._locks is None:
            self._locks = MonitorLocks(self._engine.root)
        if self._locks.holder(row.row):
            return self._told(row) if status == "created" else row
        from proa.engine.recover import settle

        return settle(self._engine.store, row)

    def _told(self, row: ContainerRow) -> ContainerRow:
        """The row of a container that is starting: its monitor may know more than the database."""
        from proa.lean.channel import connect
        from proa.monitor.job import SOCKET

        store = self._engine.store
        try:
            channel = connect(store.path("run", row.id), SOCKET)
        except Unavailable:
            return row  # it has not begun to run
        try:
            channel.send({"op": "record"})
            # it does not answer while its start takes long: then it does not run yet
            return store.containers.find(row.id) if channel.wait(_ANSWER) else row
        except (Unavailable, ContainerNotFound):
            return row  # it has just ended
        finally:
            channel.close()

    def _start(self, container: Container, start: Callable[[], T]) -> T:
        try:
            return start()
        except ProaError as error:
            if container.config.auto_remove:
                container.remove(force=True)
            else:
                container.record_failure(error)
            raise


def _text(value: object) -> str:
    """A filter's value as the command has it: numbers, True and False among them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def summarize(row: ContainerRow) -> ContainerSummary:
    """What a list shows of a row."""
    request, process, state = row.config["request"], row.config["process"], row.state
    return ContainerSummary(
        id=row.id,
        name=row.name,
        image=request["image"],
        image_id=row.image,
        command=(*process["entrypoint"], *process["command"]),
        created=row.created,
        state=state["status"],
        exit_code=state.get("exit_code", 0),
        started_at=state.get("started_at", ""),
        finished_at=state.get("finished_at", ""),
        labels=process["labels"],
        mounts=tuple(
            mount["source"] or mount["target"]
            for mount in request.get("mounts", ())
            if mount["kind"] != "tmpfs" or not mount.get("short")
        ),
        networks=tuple(item["network"] for item in request.get("networks") or ())
        or (request.get("network_mode", "default"),),
        ports=tuple(tuple(item) for item in state.get("ports") or ()),
        targets=tuple(mount["target"] for mount in request.get("mounts", ())),
        exposed_ports=tuple(process.get("exposed_ports") or ()),
        local_volumes=sum(mount["kind"] == "volume" for mount in request.get("mounts", ())),
        error=state.get("error", ""),
        health=state.get("health"),
    )


def with_sizes(summary: ContainerSummary, writable: int, image: int) -> ContainerSummary:
    """The summary with its sizes in bytes: what the container changed, and the whole of it."""
    return replace(summary, size_rw=writable, size_rootfs=writable + image)
