"""A container: made, started, talked to, ended. The commands of runc, as methods.

container = Container.create("web", spec, root="/run/x", bundle="/bundles/web")
container.start()
container.kill(15)
container.delete()
"""

from __future__ import annotations

import _socket
import posix
import select

from proa.errors import Conflict, KernelError, NotFound, ProaError
from proa.kernel import pidfd, process
from proa.kernel.cgroup import Cgroup
from proa.lean import clock, json
from proa.lean.channel import Channel, Short, checked
from proa.lean.record import record, replace
from proa.runtime import create, namespaces, state
from proa.runtime import process as processes
from proa.runtime.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from proa.runtime.embryo import Embryo
    from proa.runtime.exec import ExecProcess

_KILL = 9
_FROM_CONTAINER = (
    *("capabilities", "noNewPrivileges", "rlimits", "apparmorProfile", "selinuxLabel"),
    *("scheduler", "ioPriority"),
)
"""What a further process has from the container, where it does not say otherwise."""


@record
class Stdio:
    """Descriptors that a process gets as 0, 1 and 2."""

    stdin: int
    stdout: int
    stderr: int


class Container:
    """A container of the directory `root`, which may be one that another process has made."""

    def __init__(
        self,
        found: State,
        root: str,
        *,
        spec: dict[str, Any] | None = None,
        born: create.Born | None = None,
        cache: str | None = None,
    ) -> None:
        self.id = found.id
        self.root = root
        self.bundle = found.bundle
        self.pid = found.pid
        self.console: int | None = born.console if born is not None else None
        """the master of its terminal, for who made it"""
        self.warnings: tuple[str, ...] = born.warnings if born is not None else ()
        """what could not be applied, in words"""
        self.cgroup = born.cgroup if born is not None else _cgroup(found)
        self._state = found
        self._spec = spec
        self._pidfd = born.pidfd if born is not None else -1
        self._cache = cache

    @classmethod
    def create(
        cls,
        id: str,
        spec: dict[str, Any],
        *,
        root: str,
        bundle: str,
        stdio: Stdio | None = None,
        rootfs: int | None = None,
        sources: Mapping[str, int] | None = None,
        run: bool = False,
        prepare: Callable[[int], None] | None = None,
        meanwhile: Callable[[int], None] | None = None,
        keep_spec: bool = False,
        cache: str | None = None,
        systemd_cgroup: bool = False,
        pivot: bool = True,
        keyring: bool = True,
        preserve_fds: int = 0,
        embryo: Embryo | None = None,
    ) -> Container:
        """Make the container of `spec`; with `run` execute its command too.

        `root`: where states are kept. `bundle`: what relative paths in the spec are relative to.
        `stdio`: None for this process's own. `rootfs`: a detached mount; None for the directory
        that the spec names. `sources`: detached mounts by destination, in the place of what the
        bind mounts there name as source. `keep_spec`: remember the spec as it is now. `cache`: a
        directory for compiled seccomp filters. `prepare`: called with the pid while the first
        process sets itself up; its command waits for that. `meanwhile`: likewise, and nothing
        waits for it. `embryo`: what may become the first process; one that did not stays the
        caller's.
        The first process is a child of this one. Returns when it waits to be started, or with
        `run` when execve has succeeded. Raises the kinds of proa.errors, AlreadyExists and
        CommandNotFound among them; then nothing is left.
        """
        directory = state.reserve(root, id)
        listener = None
        try:
            if keep_spec or not run:
                # exec needs it later, and a bundle may change
                state.write(directory, state.SPEC, json.dumps(spec).encode())
            if not run:
                listener = _listen(directory)
            # what is kept is the whole spec: exec comes from outside, and joins the namespace
            here = spec if posix.geteuid() == 0 else _enter(spec)
            found: list[State] = []

            def record_state(pid: int, cgroup: Cgroup) -> None:
                found.append(
                    State(
                        id=id,
                        pid=pid,
                        start_time=process.start_time(pid),
                        bundle=bundle,
                        created=clock.now(),
                        cgroups=cgroup.paths,
                    )
                )
                state.save(directory, found[0])

            born = create.make(
                create.Request(
                    id=id,
                    spec=here,
                    bundle=bundle,
                    rootfs=rootfs,
                    sources=sources,
                    stdio=(stdio.stdin, stdio.stdout, stdio.stderr) if stdio else None,
                    run=run,
                    start=listener.fileno() if listener is not None else -1,
                    cache=cache,
                    systemd=systemd_cgroup,
                    pivot=pivot,
                    keyring=keyring,
                    keep=preserve_fds,
                    cgroup=f"/proa/{id}",
                    embryo=embryo,
                ),
                record_state=record_state,
                prepare=prepare,
                meanwhile=meanwhile,
            )
        except BaseException:
            state.remove(directory)
            raise
        finally:
            if listener is not None:
                listener.close()
        if born.mount_namespace:
            found[0] = replace(found[0], mount_namespace=born.mount_namespace)
            state.save(directory, found[0])
        container = cls(found[0], root, spec=spec, born=born, cache=cache)
        if run:
            container._run_hooks("poststart", "running")
        return container

    @classmethod
    def load(cls, id: str, root: str, *, cache: str | None = None) -> Container:
        """The container `id` that some process has made. Raises NotFound."""
        return cls(state.load(root, id), root, cache=cache)

    @property
    def pidfd(self) -> int:
        """A descriptor of the first process; it belongs to this object. Raises Conflict."""
        if self._pidfd < 0:
            try:
                descriptor = pidfd.pidfd_open(self.pid)
            except ProcessLookupError:
                raise self._not_running() from None
            # compared after opening: from now on the number cannot be given to another
            if not self._state.is_alive():
                posix.close(descriptor)
                raise self._not_running()
            self._pidfd = descriptor
        return self._pidfd

    @property
    def spec(self) -> dict[str, Any]:
        """What the container was made of."""
        if self._spec is None:
            try:
                data = state.read(self._directory, state.SPEC)
            except FileNotFoundError:
                data = state.read(self.bundle, state.SPEC)
            self._spec = json.loads(data)
        return self._spec

    @property
    def created(self) -> str:
        """When it was made: RFC 3339."""
        return self._state.created

    @property
    def owner(self) -> str:
        """The name of the user whose process made it, or the number."""
        import pwd

        uid = posix.stat(self._directory).st_uid
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    @property
    def status(self) -> str:
        """created, running, paused or stopped."""
        if not self._state.is_alive():
            return "stopped"
        if posix.access(f"{self._directory}/{state.START}", posix.F_OK):
            return "created"
        return "paused" if self.cgroup.frozen() else "running"

    def state(self) -> dict[str, Any]:
        """The state of runtime-spec."""
        status = self.status
        base = create.state_for_hooks(self.id, self.spec, self.bundle)
        return {
            **base,
            "status": status,
            "pid": 0 if status == "stopped" else self.pid,
        }

    def start(self) -> None:
        """Have the command executed; returns when execve has succeeded.

        Raises Conflict where it is not in the state created, CommandNotFound and its like.
        """
        taken = f".{posix.getpid()}"
        try:
            # whoever can rename the socket is the one who starts the container
            posix.rename(f"{self._directory}/{state.START}", f"{self._directory}/{taken}")
        except FileNotFoundError:
            raise Conflict(
                f"container {self.id} cannot be started: it is {self.status};"
                " only a created one can"
            ) from None
        try:
            self._start(taken)
        finally:
            posix.unlink(f"{self._directory}/{taken}")
        self._run_hooks("poststart", "running")

    def _start(self, socket_name: str) -> None:
        # opened while it waits: it may be over, and reaped, before we have listened to the end
        assert self.pidfd >= 0
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        channel = Channel(socket)
        try:
            with Short(self._directory) as short:
                socket.connect(f"{short}/{socket_name}")
            final = False
            while (received := self._receive(channel)) is not None:
                at = str(checked(received[0])["at"])
                final = final or at == "final"
                if at == "listener":
                    self._hand_over(int(received[0]["number"]))
                    channel.send({})
        except ConnectionError:
            raise Conflict(f"container {self.id} cannot be started: it has stopped") from None
        finally:
            channel.close()
        if not final:
            raise KernelError(f"container {self.id} died before its command was executed")

    def _receive(self, channel: Channel) -> tuple[dict[str, Any], list[int]] | None:
        """The next message; the end where the process has died without a word."""
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        poll.register(self.pidfd, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll()]
        return channel.receive() if channel.fileno() in ready else None

    def _hand_over(self, number: int) -> None:
        from proa.runtime.notify import hand_over

        found = self._filter()
        assert found is not None
        listener = pidfd.get_descriptor(self.pidfd, number)
        hand_over(found, {**self.state(), "status": "created"}, self.pid, listener)

    def _filter(self) -> Any:
        own = self.spec.get("process") or {}
        capabilities = (own.get("capabilities") or {}).get("bounding") or ()
        return create.seccomp_filter(self.spec, capabilities, self._cache)

    def exec(
        self,
        own: Mapping[str, Any],
        stdio: Stdio | None = None,
        *,
        preserve_fds: int = 0,
        inherit: bool = True,
        adopt_orphans: bool = False,
    ) -> ExecProcess:
        """Start a further process: `own` is OCI's process object.

        `inherit`: what it does not say of rights and limits is as with the first process.
        `adopt_orphans`: all processes below it stay below it as long as it lives.
        The process is a child of this one. Raises Conflict where the container does not run,
        CommandNotFound, CommandNotExecutable, KernelError.
        """
        from proa.runtime.exec import Entry, enter

        spec = self.spec
        first = spec.get("process") or {}
        if inherit:
            own = {**{key: first[key] for key in _FROM_CONTAINER if key in first}, **own}
        linux = spec.get("linux") or {}
        score = own.get("oomScoreAdj", first.get("oomScoreAdj"))
        return enter(
            Entry(
                id=self.id,
                pidfd=self.pidfd,
                namespaces=namespaces.of_spec(linux),
                execution=processes.plan(own, linux, self._filter()),
                state=create.state_for_hooks(self.id, spec, self.bundle),
                stdio=(stdio.stdin, stdio.stdout, stdio.stderr) if stdio else None,
                keep=preserve_fds,
                oom_score=None if score is None else int(score),
                adopt=adopt_orphans,
            ),
            self.cgroup,
        )

    def kill(self, signal: int, *, all: bool = False) -> None:
        """Send a signal to the first process, or to every process of the container.

        Raises Conflict where it does not run.
        """
        if all:
            if signal == _KILL:
                self._kill_all()
                return
            for pid in self.processes():
                try:
                    posix.kill(pid, signal)
                except ProcessLookupError:
                    continue
            return
        try:
            pidfd.send_signal(self.pidfd, signal)
        except ProcessLookupError:
            raise self._not_running() from None

    def pause(self) -> None:
        """Freeze all processes. Raises Conflict, Unsupported."""
        if self.status not in ("created", "running"):
            raise Conflict(f"container {self.id} cannot be paused: it is {self.status}")
        self.cgroup.freeze()

    def resume(self) -> None:
        """Let them go on. Raises Conflict."""
        if not self.cgroup.frozen():
            raise Conflict(f"container {self.id} is not paused")
        self.cgroup.thaw()

    def update(self, resources: Mapping[str, Any]) -> list[str]:
        """Change limits (OCI's linux.resources); returns what could not be, in words."""
        paths = dict(self.cgroup.paths)
        warnings = self.cgroup.apply(resources)
        if self.cgroup.paths != paths:
            # a controller that the container was not under before: it is to be removed, too
            self._state = replace(self._state, cgroups=dict(self.cgroup.paths))
            state.save(self._directory, self._state)
        return warnings

    def processes(self) -> list[int]:
        """The ids of its processes, on the host."""
        if found := self.cgroup.processes():
            return found
        if self._state.mount_namespace:
            from proa.kernel.processes import in_mount_namespace

            return in_mount_namespace(self._state.mount_namespace)
        return [self.pid] if self._state.is_alive() else []

    def stats(self) -> dict[str, Any]:
        """What it has used; see `Cgroup.stats`."""
        return self.cgroup.stats()

    def was_out_of_memory(self) -> bool:
        """Whether the kernel has killed one of its processes for lack of memory."""
        try:
            return bool(self.cgroup.stats().get("memory", {}).get("oom_kills"))
        except (ProaError, OSError):
            return False

    def delete(self, *, force: bool = False) -> None:
        """Remove what is left of the container; with `force` also one that runs.

        Raises Conflict.
        """
        if self._state.is_alive():
            # a created one has run nothing yet: runtime-spec lets only stopped ones be deleted,
            # every runtime takes this one too
            if not force and self.status != "created":
                raise Conflict(
                    f"container {self.id} cannot be deleted: it is {self.status};"
                    " kill it first, or use --force"
                )
            self._end()
        self._kill_all()
        self.cgroup.remove()
        if self._pidfd >= 0:
            posix.close(self._pidfd)
            self._pidfd = -1
        try:
            hooks = (self.spec.get("hooks") or {}).get("poststop")
        except (OSError, ValueError):
            hooks = None  # the bundle is gone
        if hooks:
            from proa.runtime.hooks import run

            base = create.state_for_hooks(self.id, self.spec, self.bundle)
            try:
                run(hooks, {**base, "status": "stopped"})
            except ProaError as error:
                self.warnings = (*self.warnings, str(error))
        state.remove(self._directory)

    def _kill_all(self) -> None:
        """Kill what its cgroup has, or where there is none, what its mount namespace has."""
        self.cgroup.kill()
        if self._state.mount_namespace:
            from proa.kernel.processes import kill_in_mount_namespace

            kill_in_mount_namespace(self._state.mount_namespace)

    def _end(self) -> None:
        if self.cgroup.frozen():
            self.cgroup.thaw()
        try:
            pidfd.send_signal(self.pidfd, _KILL)
            pidfd.wait(self.pidfd, 10.0)
        except (ProcessLookupError, Conflict):
            return

    def _run_hooks(self, kind: str, status: str) -> None:
        """Run the hooks of the creator's namespaces; failures of poststart only warn."""
        hooks = (self.spec.get("hooks") or {}).get(kind)
        if not hooks:
            return
        from proa.runtime.hooks import run

        base = create.state_for_hooks(self.id, self.spec, self.bundle)
        try:
            run(hooks, {**base, "status": status, "pid": self.pid})
        except ProaError as error:
            self.warnings = (*self.warnings, str(error))

    @property
    def _directory(self) -> str:
        return state.directory_of(self.root, self.id)

    def _not_running(self) -> Conflict:
        return Conflict(f"container {self.id} is not running")


def list_containers(root: str) -> list[Container]:
    """All containers of the directory `root`."""
    found = []
    for id in state.ids(root):
        try:
            found.append(Container.load(id, root))
        except NotFound:
            continue  # deleted just now
    return found


def _cgroup(found: State) -> Cgroup:
    return Cgroup.load(found.cgroups, rootless=not process.owns_machine())


def _listen(directory: str) -> _socket.socket:
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    with Short(directory) as short:
        socket.bind(f"{short}/{state.START}")
    socket.listen(1)
    return socket


def _enter(spec: dict[str, Any]) -> dict[str, Any]:
    from proa.runtime.rootless import enter

    return enter(spec)
