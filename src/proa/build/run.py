"""RUN: a command executed in the project's own runtime, on a snapshot of what came before."""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from proa.build import workspace
from proa.build.dockerfile.arguments import PREDEFINED
from proa.errors import BuildFailed, Cancelled, InvalidArgument, NotFound, Unavailable
from proa.lean.channel import Channel, checked, pair
from proa.lean.record import record
from proa.runtime import interpreter
from proa.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proa.build.graph import RunMount, RunOp
    from proa.build.options import BuildOptions
    from proa.build.workspace import Workspace
    from proa.store.store import Store

_TAIL = 1 << 16
"""Bytes of a step's output that are kept for an error."""
_CHUNK = 1 << 16
_SECRET_DIRECTORY = "/run/secrets"  # noqa: S105 - where they are mounted
_AGENT = "/run/buildkit/ssh_agent.{}"


@record
class Bind:
    """Something of the host in the container of a step."""

    source: str
    target: str
    read_only: bool = False
    tmpfs_size: int | None = None
    """it is a tmpfs: bytes, 0: no limit"""
    given: bool = False
    """`source` is a name only: the worker has the mount"""


class MakeSpec(Protocol):
    """Makes the OCI spec of a step's container."""

    def __call__(
        self, op: RunOp, id: str, directory: str, binds: Sequence[Bind], environment: Sequence[str]
    ) -> dict[str, Any]:
        """`directory`: for the container's own files. `environment`: KEY=VALUE, complete."""


@dataclass(slots=True)
class _Prepared:
    """What a RUN's mounts come to."""

    binds: list[Bind] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    secrets: list[dict[str, Any]] = field(default_factory=list)
    contents: list[int] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    locks: list[FileLock] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)


class Runner:
    """Runs commands; keeps processes at hand that do. Safe to use from several threads."""

    def __init__(self, store: Store, options: BuildOptions, make_spec: MakeSpec) -> None:
        self._store = store
        self._options = options
        self._make_spec = make_spec
        self._lock = threading.Lock()
        self._idle: list[tuple[Channel, int]] = []
        self._busy: set[Channel] = set()
        self._canceled = False

    def run(
        self,
        op: RunOp,
        space: Workspace,
        layers: Sequence[Sequence[str]],
        output: Callable[[int, bytes], None],
    ) -> None:
        """Execute the command on the snapshot in `space`.

        `layers`: of the file system, and then of the sources of mounts. `output` is called with
        1 or 2 and what the command writes to its standard output or error.
        Raises BuildFailed where the exit code is not 0, Cancelled, NotFound, InvalidArgument.
        """
        prepared = _Prepared()
        worker = self._take()
        healthy = False
        try:
            for mount in op.mounts:
                self._prepare(mount, prepared, layers, space)
            if op.script is not None:
                prepared.binds.append(_script(space.path, *op.script))
            given = self._options.build_args.items()
            # they make no difference to what is built, and what has one of its own keeps it
            proxies = [f"{name}={value}" for name, value in given if name in PREDEFINED]
            environment = [*proxies, *op.environment, *prepared.environment]
            spec = self._make_spec(op, space.id, space.path, prepared.binds, environment)
            job = {
                "id": space.id,
                "root": self._store.root,
                "directory": space.path,
                "spec": spec,
                "layers": list(layers[0]),
                "views": prepared.views,
                "secrets": prepared.secrets,
                "user": op.user,
                "targets": prepared.targets,
            }
            try:
                code, tail = _execute(worker[0], job, prepared.contents, output)
            except Unavailable:
                # the worker was killed, but not what it ran
                workspace.end_container(self._store, space.id)
                raise
            healthy = True
        finally:
            for descriptor in prepared.contents:
                os.close(descriptor)
            for lock in prepared.locks:
                lock.release()
            self._give_back(worker, healthy=healthy)
        if self._canceled:
            raise Cancelled("the build was stopped")
        if code:
            raise BuildFailed(
                f'process "{" ".join(op.arguments)}" did not complete successfully:'
                f" exit code: {code}",
                exit_code=code,
                output=tail,
            )

    def cancel(self) -> None:
        """Kill what runs, and run nothing more."""
        with self._lock:
            self._canceled = True
            for channel in self._busy:
                try:
                    channel.send({"op": "cancel"})
                except Unavailable:
                    continue

    def close(self) -> None:
        """Let the processes end."""
        with self._lock:
            idle, self._idle = self._idle, []
        for channel, pid in idle:
            channel.close()
            _reap(pid)

    # -- workers

    def _take(self) -> tuple[Channel, int]:
        with self._lock:
            if self._canceled:
                raise Cancelled("the build was stopped")
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            ours, theirs = pair()
            try:
                pid = interpreter.spawn(
                    "proa.build.worker", descriptors={3: theirs.fileno()}, session=True
                )
            finally:
                theirs.close()
            worker = ours, pid
        with self._lock:
            self._busy.add(worker[0])
        return worker

    def _give_back(self, worker: tuple[Channel, int], *, healthy: bool) -> None:
        with self._lock:
            self._busy.discard(worker[0])
            if healthy and not self._canceled:
                self._idle.append(worker)
                return
        worker[0].close()
        _reap(worker[1])

    # -- mounts

    def _prepare(
        self,
        mount: RunMount,
        prepared: _Prepared,
        layers: Sequence[Sequence[str]],
        space: Workspace,
    ) -> None:
        if mount.target:
            prepared.targets.append(mount.target)
        match mount.kind:
            case "tmpfs":
                prepared.binds.append(Bind("", mount.target, tmpfs_size=mount.size))
            case "bind":
                prepared.binds.append(Bind(space.path, mount.target, mount.read_only, given=True))
                prepared.views.append(
                    {
                        "target": mount.target,
                        "source": mount.source,
                        "layers": list(layers[mount.input]) if mount.input else [],
                        "writable": not mount.read_only,
                    }
                )
            case "cache":
                source = self._cache_directory(mount, prepared)
                prepared.binds.append(Bind(source, mount.target, mount.read_only))
            case "secret":
                self._secret(mount, prepared, space)
            case _:
                self._agent(mount, prepared)

    def _cache_directory(self, mount: RunMount, prepared: _Prepared) -> str:
        if mount.input:
            raise InvalidArgument("RUN --mount=type=cache,from=… is not available")
        number = 0
        while True:
            place = workspace.mount_path(
                self._store, mount.id if not number else f"{mount.id}\0{number}"
            )
            os.makedirs(place, 0o700, exist_ok=True)
            if mount.sharing == "shared":
                lock = FileLock(f"{place}/lock", shared=True)
                lock.acquire()
                break
            lock = FileLock(f"{place}/lock")
            if lock.acquire(block=mount.sharing == "locked"):
                break
            number += 1  # private: another one takes another directory
        prepared.locks.append(lock)
        data = f"{place}/data"
        try:
            os.mkdir(data, 0o755)
            os.chmod(data, 0o755 if mount.mode is None else mount.mode)
            os.chown(data, mount.uid or 0, mount.gid or 0)
        except FileExistsError:
            pass
        return data + ("/" + mount.source.strip("/") if mount.source.strip("/") else "")

    def _secret(self, mount: RunMount, prepared: _Prepared, space: Workspace) -> None:
        found = next((item for item in self._options.secrets if item.id == mount.id), None)
        if found is None:
            if mount.required:
                raise NotFound(
                    f"secret {mount.id}: not found; give it with --secret id={mount.id},…"
                )
            return
        if mount.variable:
            value = found.value.decode("utf-8", "surrogateescape")
            prepared.environment.append(f"{mount.variable}={value}")
            if not mount.target:
                return
        target = mount.target or f"{_SECRET_DIRECTORY}/{mount.id}"
        content = os.memfd_create("proa-secret", os.MFD_CLOEXEC)
        prepared.contents.append(content)
        left = memoryview(found.value)
        while left:
            left = left[os.write(content, left) :]
        prepared.binds.append(Bind(space.path, target, read_only=True, given=True))
        prepared.targets.append(target)
        prepared.secrets.append(
            {
                "target": target,
                "mode": 0o400 if mount.mode is None else mount.mode,
                "uid": mount.uid or 0,
                "gid": mount.gid or 0,
            }
        )

    def _agent(self, mount: RunMount, prepared: _Prepared) -> None:
        id = mount.id or "default"
        socket = self._options.ssh.get(id)
        if socket is None:
            if mount.required:
                raise NotFound(f"ssh agent {id}: not found; give it with --ssh {id}")
            return
        number = sum(bind.target.startswith("/run/buildkit/") for bind in prepared.binds)
        target = mount.target or _AGENT.format(number)
        prepared.binds.append(Bind(socket, target))
        prepared.targets.append(target)
        if not any(item.startswith("SSH_AUTH_SOCK=") for item in prepared.environment):
            prepared.environment.append(f"SSH_AUTH_SOCK={target}")


def _script(directory: str, name: str, content: str) -> Bind:
    """A program that the Dockerfile holds, where the command finds it."""
    place = f"{directory}/pipes"
    os.mkdir(place, 0o755)
    os.chmod(place, 0o755)  # noqa: S103 - whatever the umask is: any user may execute it
    with open(f"{place}/{name}", "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o755)
    return Bind(place, "/dev/pipes", read_only=True)


def _execute(
    channel: Channel,
    job: dict[str, Any],
    contents: Sequence[int],
    output: Callable[[int, bytes], None],
) -> tuple[int, bytes]:
    """Have a worker do a job; the exit code, and the end of its output."""
    streams: dict[int, int] = {}
    theirs: list[int] = []
    try:
        for number in (1, 2):
            reader, writer = os.pipe2(os.O_CLOEXEC)
            streams[reader] = number
            theirs.append(writer)
        channel.send(job, [*theirs, *contents])
        while theirs:
            os.close(theirs.pop())
        return _follow(channel, streams, output)
    finally:
        for descriptor in (*streams, *theirs):
            os.close(descriptor)


def _follow(
    channel: Channel, streams: dict[int, int], output: Callable[[int, bytes], None]
) -> tuple[int, bytes]:
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    for reader in streams:
        poll.register(reader, select.POLLIN)
    tail = bytearray()
    code: int | None = None
    last = 0.0
    while code is None or streams:
        # the command is over: what may hold its output open was killed with it
        timeout = None if code is None else max(0.0, last - time.monotonic()) * 1000
        ready = poll.poll(timeout)
        if not ready:
            break
        for descriptor, _ in ready:
            if descriptor == channel.fileno():
                received = channel.receive()
                if received is None:
                    raise Unavailable("the process that runs the steps of the build died")
                code = int(checked(received[0])["exited"])
                poll.unregister(descriptor)
                last = time.monotonic() + 5
                continue
            data = os.read(descriptor, _CHUNK)
            if data:
                tail += data
                del tail[:-_TAIL]
                output(streams[descriptor], data)
                continue
            poll.unregister(descriptor)
            del streams[descriptor]
            os.close(descriptor)
    return code or 0, bytes(tail)


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # the program ignores SIGCHLD, or waits for all children
