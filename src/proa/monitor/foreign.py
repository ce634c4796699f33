"""A container that another OCI runtime makes: `run --runtime runc|crun|PATH`.

What the runtime-spec's command line (create, start, exec, pause, resume, delete) leaves open is
as runc has it: `--pid-file`, `--console-socket`, `--log`, and stdio passed on to the container.

The container's processes are children of the runtime, which leaves: they become ours, since we
are their subreaper. The root file system, a detached mount, needs a place for a runtime that
takes a path: it is attached in a mount namespace of the monitor's own, where nobody else sees it
and with which it goes.
"""

from __future__ import annotations

import _socket
import posix
import struct

from proa.errors import (
    CommandNotExecutable,
    CommandNotFound,
    InvalidArgument,
    KernelError,
    ProaError,
    Unsupported,
)
from proa.kernel import mount, pidfd, process
from proa.kernel.cgroup import discover
from proa.kernel.mountinfo import unescape
from proa.kernel.namespace import CLONE_NEWNS, unshare
from proa.kernel.path import AT_FDCWD
from proa.lean import clock, json
from proa.lean.channel import Short
from proa.runtime import state
from proa.runtime.container import Container, Stdio
from proa.runtime.defaults import DEFAULT_SECCOMP
from proa.runtime.exec import ExecProcess
from proa.runtime.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

_OWN = ("", "proa", "proa-runtime")
_INHERITED = ("capabilities", "noNewPrivileges", "rlimits", "apparmorProfile", "selinuxLabel")
_LARGEST = 1 << 20
"""Bytes that are read of a runtime's log, or of a file in /proc."""


def find_runtime(name: str | None) -> str | None:
    """The path of the OCI runtime of this name, None for proa's own. Raises InvalidArgument."""
    if name is None or name in _OWN:
        return None
    if "/" in name:
        candidates = [name] if name.startswith("/") else []
    else:
        path = posix.environ.get(b"PATH", b"").decode("utf-8", "surrogateescape")
        # where they are installed, also for who has no sbin in the path
        places = [*path.split(":"), "/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"]
        candidates = [f"{place}/{name}" for place in places if place.startswith("/")]
    for candidate in candidates:
        if posix.access(candidate, posix.X_OK):
            return candidate
    raise InvalidArgument(
        f"unknown runtime {name}: no such program; install it, name its absolute path,"
        " or leave --runtime away"
    )


def create(
    program: str,
    id: str,
    spec: dict[str, Any],
    *,
    root: str,
    work: str,
    bundle: str,
    rootfs: int,
    sources: Mapping[str, int],
    stdio: Stdio | None,
    prepare: Callable[[int], None] | None,
    meanwhile: Callable[[int], None],
) -> ForeignContainer:
    """Make and start the container of `spec` by the runtime `program`.

    `root`: where states are kept. `work`: a directory of this container's, made if missing.
    `bundle`: what relative paths in the spec are relative to. `rootfs`: a detached mount.
    `sources`: detached mounts by destination, for the bind mounts there. `prepare` and
    `meanwhile` are called with the pid before the command runs.
    Raises CommandNotFound, CommandNotExecutable, KernelError; then nothing is left.
    """
    process.set_subreaper(True)
    directory = state.reserve(root, id)
    runtime = _Runtime(program, id, work)
    try:
        runtime.forget()
        place = runtime.prepare(spec, bundle, rootfs, sources)
        console = runtime.make(place, stdio, terminal=bool(spec["process"].get("terminal")))
        pid = runtime.pid()
        found = State(
            id=id,
            pid=pid,
            start_time=process.start_time(pid),
            bundle=bundle,
            created=clock.now(),
            cgroups=_cgroups(str(spec["linux"]["cgroupsPath"])),
        )
        state.save(directory, found)
        container = ForeignContainer(found, root, spec=spec)
        container.runtime = runtime
        container.console = console
        assert container.pidfd >= 0
        if prepare is not None:
            prepare(pid)
        meanwhile(pid)
        runtime.run("start", id)
    except BaseException:
        runtime.forget()
        runtime.close()
        state.remove(directory)
        raise
    return container


class ForeignContainer(Container):
    """A container whose runtime is another program."""

    runtime: _Runtime

    def exec(
        self,
        own: Mapping[str, Any],
        stdio: Stdio | None = None,
        *,
        preserve_fds: int = 0,  # noqa: ARG002 - for proa's own command only
        inherit: bool = True,  # noqa: ARG002
        adopt_orphans: bool = False,  # noqa: ARG002
    ) -> ExecProcess:
        """As Container's; `preserve_fds` and `adopt_orphans` are not available."""
        first = self.spec.get("process") or {}
        wanted = {**{key: first[key] for key in _INHERITED if key in first}, **own}
        pid, console = self.runtime.execute(wanted, stdio)
        return ExecProcess(pid, pidfd.pidfd_open(pid), console)

    def pause(self) -> None:
        """Freeze all processes."""
        self.runtime.run("pause", self.id)

    def resume(self) -> None:
        """Let them go on."""
        self.runtime.run("resume", self.id)

    def delete(self, *, force: bool = False) -> None:
        """Remove what is left of the container, the runtime's own records among it."""
        self.runtime.forget()
        super().delete(force=force)
        self.runtime.close()


class _Runtime:
    """The program, and the directory in which it is talked to about one container."""

    def __init__(self, program: str, id: str, work: str) -> None:
        self._program = program
        self._id = id
        self._work = work
        self._number = 0
        for path in (work, f"{work}/bundle", f"{work}/bundle/rootfs"):
            try:
                posix.mkdir(path, 0o700)
            except FileExistsError:
                continue
        self._mounted = False
        self._attached: list[str] = []

    def prepare(
        self, spec: dict[str, Any], bundle: str, rootfs: int, sources: Mapping[str, int]
    ) -> str:
        """Put spec and root file system where the runtime takes them from: its bundle."""
        place = f"{self._work}/bundle"
        # a namespace of our own, in which nothing that we mount spreads
        unshare(CLONE_NEWNS)
        self._cut_off(spec)
        mount.attach(rootfs, f"{place}/rootfs")
        self._mounted = True
        places = {}
        for number, (destination, source) in enumerate(sources.items()):
            places[destination] = f"{self._work}/source-{number}"
            if posix.fstat(source).st_mode & 0o170000 == 0o040000:
                posix.mkdir(places[destination], 0o700)
            else:
                flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
                posix.close(posix.open(places[destination], flags, 0o600))
            mount.attach(source, places[destination])
            self._attached.append(places[destination])
        theirs = dict(spec)
        # older ones refuse a version that they do not know; nothing here is newer than 1.0
        theirs["ociVersion"] = "1.0.2"
        theirs["root"] = {**spec["root"], "path": f"{place}/rootfs"}
        annotations = dict(spec.get("annotations") or {})
        if annotations.pop(DEFAULT_SECCOMP, None):
            from proa.runtime.seccomp_profile import default_profile

            bounding = spec["process"]["capabilities"]["bounding"]
            profile = default_profile(bounding, posix.uname().machine)
            theirs["linux"] = {**spec["linux"], "seccomp": profile}
        theirs["annotations"] = annotations
        theirs["mounts"] = [
            {**item, "source": places[item["destination"]]}
            if item["destination"] in places
            else _absolute(item, bundle)
            for item in spec["mounts"]
        ]
        _write(f"{place}/config.json", json.dumps(theirs))
        return place

    def _cut_off(self, spec: Mapping[str, Any]) -> None:
        """Keep what is mounted below our directory from the host.

        All other mounts stay the host's peers: what a container shares, it shares with the host.
        """
        own = mount.mount_id(AT_FDCWD, self._work)
        for item in spec["mounts"]:
            if {"shared", "rshared"}.isdisjoint(item.get("options") or ()):
                continue
            if mount.mount_id(AT_FDCWD, str(item["source"])) == own:
                raise Unsupported(
                    f"{item['source']} cannot be shared by another runtime: it lies on the mount"
                    " that the engine's root lies on; mount it by itself ('mount --bind'), or leave"
                    " --runtime away"
                )
        for line in _read("/proc/self/mountinfo").splitlines():
            fields = line.split(" ")
            if int(fields[0]) == own:
                mount.mount_setattr(AT_FDCWD, unescape(fields[4]), propagation=mount.MS_SLAVE)

    def make(self, place: str, stdio: Stdio | None, *, terminal: bool) -> int | None:
        """Create the container; the terminal's master, if it has one."""
        arguments = ["create", "--bundle", place, "--pid-file", self._pid_file()]
        return self._with_console([*arguments], [self._id], stdio, terminal=terminal)

    def execute(self, own: dict[str, Any], stdio: Stdio | None) -> tuple[int, int | None]:
        """Start a further process: its pid, and its terminal's master."""
        self._number += 1
        path = f"{self._work}/process.json"
        _write(path, json.dumps(own))
        arguments = ["exec", "--detach", "--process", path, "--pid-file", self._pid_file()]
        console = self._with_console(
            arguments, [self._id], stdio, terminal=bool(own.get("terminal"))
        )
        return self.pid(), console

    def pid(self) -> int:
        """What the runtime has written to the file of the last process."""
        return int(_read(self._pid_file()))

    def forget(self) -> None:
        """Have the runtime remove the container, if it knows it."""
        try:
            self.run("delete", "--force", self._id)
        except ProaError:
            pass

    def close(self) -> None:
        """Remove what was there for the runtime."""
        if self._mounted:
            self._mounted = False
            mount.umount(f"{self._work}/bundle/rootfs", mount.MNT_DETACH)
        while self._attached:
            mount.umount(self._attached.pop(), mount.MNT_DETACH)
        import shutil

        shutil.rmtree(self._work, ignore_errors=True)

    def run(self, *arguments: str, stdio: Stdio | None = None) -> None:
        """Run the runtime to its end. Raises what it says went wrong."""
        log = f"{self._work}/log"
        _write(log, "")
        null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
        ends = (stdio.stdin, stdio.stdout, stdio.stderr) if stdio else (null, null, null)
        command = [
            *(self._program, "--root", f"{self._work}/state", "--log", log),
            *("--log-format", "json", *arguments),
        ]
        # high numbers first: one end may have the number of another's target
        actions = [(posix.POSIX_SPAWN_DUP2, end, number + 200) for number, end in enumerate(ends)]
        actions += [(posix.POSIX_SPAWN_DUP2, number + 200, number) for number in range(3)]
        actions += [(posix.POSIX_SPAWN_CLOSE, number + 200) for number in range(3)]  # type: ignore[misc]
        try:
            pid = posix.posix_spawn(
                self._program,
                command,
                {b"PATH": posix.environ.get(b"PATH", b"/usr/sbin:/usr/bin:/sbin:/bin")},
                file_actions=actions,
                # what the monitor ignores, a container's processes must not
                setsigdef=range(1, 32),
            )
        finally:
            posix.close(null)
        _, status = posix.waitpid(pid, 0)
        if status:
            raise _explain(self._program, arguments[0], _read(log))

    def _with_console(
        self,
        arguments: Sequence[str],
        rest: Sequence[str],
        stdio: Stdio | None,
        *,
        terminal: bool,
    ) -> int | None:
        if not terminal:
            self.run(*arguments, *rest, stdio=stdio)
            return None
        name = f"{self._work}/console"
        _remove(name)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            with Short(self._work) as short:
                listener.bind(f"{short}/console")
                listener.listen(1)
                # the runtime looks at it from outside of this process
                shared = short.replace("/proc/self/", f"/proc/{posix.getpid()}/", 1)
                self.run(*arguments, "--console-socket", f"{shared}/console", *rest)
            return _receive_descriptor(listener)
        finally:
            listener.close()
            _remove(name)

    def _pid_file(self) -> str:
        return f"{self._work}/pid-{self._number}"


def _receive_descriptor(listener: _socket.socket) -> int:
    """The terminal that the runtime has sent; it has left by now."""
    descriptor, _ = listener._accept()  # type: ignore[attr-defined]
    connection = _socket.socket(fileno=descriptor)
    try:
        _, rights, _, _ = connection.recvmsg(4096, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
        for level, kind, data in rights:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                return int(struct.unpack("i", data[:4])[0])
    finally:
        connection.close()
    raise KernelError("the runtime has sent no terminal")


def _explain(program: str, verb: str, log: str) -> ProaError:
    """The error that a runtime has left in its log, as one of our kinds."""
    message = ""
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"msg": line}
        if isinstance(entry, dict) and entry.get("level", "error") in ("error", "fatal"):
            message = str(entry.get("msg") or "") or message
    message = message or "it failed without a word"
    name = program.rpartition("/")[2]
    text = f"{name} {verb}: {message.strip()}".replace("\n", "; ")
    lower = message.lower()
    if "exec" in lower and ("not found" in lower or "no such file" in lower):
        return CommandNotFound(text)
    if "exec" in lower and ("permission denied" in lower or "is a directory" in lower):
        return CommandNotExecutable(text)
    return KernelError(text)


def _cgroups(path: str) -> Mapping[str, str]:
    """The cgroups that the runtime has made, by controller."""
    where = discover()
    if where.version_1:
        every = {name: where.directory_v1(name, path) for name in where.version_1}
    elif where.version_2 is not None:
        every = {"": where.directory_v2(path)}
    else:
        every = {}
    return {name: found for name, found in every.items() if posix.access(found, posix.F_OK)}


def _absolute(item: Mapping[str, Any], bundle: str) -> dict[str, Any]:
    """The mount, whose source may be relative to a bundle that is another now."""
    source = str(item.get("source") or "")
    if item.get("type") == "bind" and source[:1] not in ("", "/"):
        return {**item, "source": f"{bundle}/{source}"}
    return dict(item)


def _write(path: str, text: str) -> None:
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    descriptor = posix.open(path, flags, 0o600)
    try:
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            data = data[posix.write(descriptor, data) :]
    finally:
        posix.close(descriptor)


def _read(path: str) -> str:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        data = b""
        while len(data) < _LARGEST and (part := posix.read(descriptor, _LARGEST)):
            data += part  # of files in /proc a page comes at a time
        return data.decode("utf-8", "surrogateescape")
    finally:
        posix.close(descriptor)


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return
