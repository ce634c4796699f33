"""Makes a container: the creator's side. The other side is `init`.

All that can be refused is refused before anything is made. From the first thing that is made on,
a failure takes everything back.
"""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, KernelError, Unavailable
from proa.kernel import mount, pidfd, process
from proa.kernel.cgroup import discover, open_manager
from proa.kernel.namespace import CLONE_PARENT, clone3
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE
from proa.lean.channel import Channel, checked, pair
from proa.lean.record import record, replace
from proa.runtime import namespaces
from proa.runtime import process as processes
from proa.runtime.defaults import DEFAULT_SECCOMP, DEVICE_RULES, INIT
from proa.runtime.init import PROPAGATION, Birth, Handed, be_born
from proa.runtime.rootfs import plan_rootfs
from proa.runtime.steps import Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Never

    from proa.kernel.cgroup import Cgroup, Mountpoints
    from proa.runtime.embryo import Embryo
    from proa.runtime.namespaces import Namespaces
    from proa.runtime.seccomp import Filter

_KILL = 9


@record
class Request:
    """What is to be made, and how."""

    id: str
    spec: Mapping[str, Any]
    bundle: str
    rootfs: int | None = None
    """a detached mount; None: the directory that the spec names"""
    sources: Mapping[str, int] | None = None
    """destination → detached mount, in the place of the source of the bind mount there"""
    stdio: tuple[int, int, int] | None = None
    """descriptors for 0, 1, 2; None: those of this process"""
    run: bool = False
    """execute the command at once"""
    start: int = -1
    """without `run`: a socket that listens for who starts the container"""
    cache: str | None = None
    """directory of compiled seccomp filters"""
    systemd: bool = False
    pivot: bool = True
    keyring: bool = True
    keep: int = 0
    """descriptors from 3 on that the command inherits"""
    cgroup: str | None = None
    """the cgroup, where the spec names none"""
    embryo: Embryo | None = None
    """a process that becomes the first one, if it suits; otherwise it stays the caller's"""


@record
class Born:
    """A container's first process."""

    pid: int
    pidfd: int
    console: int | None
    cgroup: Cgroup
    warnings: tuple[str, ...]
    mount_namespace: str = ""
    """where /proc/PID/ns/mnt leads, where nothing else keeps the container's processes together"""


def seccomp_filter(
    spec: Mapping[str, Any], capabilities: Sequence[str], cache: str | None
) -> Filter | None:
    """The filter of the container of `spec`, for a process with these `capabilities` at most.

    Raises InvalidArgument, Unsupported.
    """
    linux = spec.get("linux") or {}
    if profile := linux.get("seccomp"):
        from proa.runtime.seccomp import compile

        return compile(profile, cache=cache)
    if (spec.get("annotations") or {}).get(DEFAULT_SECCOMP):
        from proa.kernel.capability import to_bits
        from proa.runtime.seccomp import default_filter

        return default_filter(to_bits(capabilities), cache)
    return None


def make(
    request: Request,
    *,
    record_state: Callable[[int, Cgroup], None],
    prepare: Callable[[int], None] | None = None,
    meanwhile: Callable[[int], None] | None = None,
) -> Born:
    """Make the container. `record_state` is called once it has a pid, before its command runs;
    `prepare` after that, while the first process mounts its file systems: the command runs only
    after its return. `meanwhile` is called when only the first process is still busy.

    Raises what went wrong, of the kinds of `proa.errors`; then nothing is left.
    """
    spec = request.spec
    linux = spec.get("linux") or {}
    spaces = namespaces.of_spec(linux)
    hierarchies = discover()
    birth = _birth(request, spaces, hierarchies)
    whole = process.owns_machine()
    with _Work() as work:
        cgroup = open_manager(
            linux.get("cgroupsPath") or request.cgroup,
            systemd=request.systemd,
            rootless=not whole,
            mountpoints=hierarchies,
        )
        handed = _open(request, birth, work)
        resources = _with_default_devices(linux.get("resources") or {})
        work.cgroup = cgroup
        warnings = cgroup.create(resources)
        if cgroup.paths == {}:
            # that an ordinary user has no cgroup is nothing new; what is not limited for that
            # reason, `apply` says
            warnings = []
        directory = None if spaces.needs_helper else cgroup.descriptor()
        files: tuple[int, ...] = ()
        if directory is None:
            files = cgroup.join_files()
            work.close_later(*files)
        else:
            work.close_later(directory)
        handed = replace(handed, cgroup=files)
        if not cgroup.paths and "pid" not in spaces.new and "mount" in spaces.new:
            birth = replace(birth, tells_mount_namespace=True)
        adjust = (spec.get("process") or {}).get("oomScoreAdj")
        embryo = request.embryo
        if embryo is not None and directory is None and embryo.suits(spaces, handed):
            pid, descriptor, ours = embryo.pid, embryo.pidfd, embryo.channel
            work.process = (pid, descriptor)
            work.close_channels_later(ours)
            embryo.give_birth(birth, handed)
        else:
            ours, theirs = pair()
            work.close_channels_later(ours, theirs)
            if adjust is None or whole:
                pid, descriptor = _clone(birth, handed, theirs, ours, directory)
            else:
                # root of a user namespace may set its own score, and the child inherits it
                with processes.LentOomScore(int(adjust)) as score:
                    pid, descriptor = _clone(birth, handed, theirs, ours, directory)
                warnings += score.refused
            theirs.close()
            work.process = (pid, descriptor)
        if "user" in spaces.new:
            from proa.kernel.idmap import from_oci, write_maps

            write_maps(pid, from_oci(linux["uidMappings"]), from_oci(linux["gidMappings"]))
            _delegate(cgroup, linux)
        if spaces.needs_word:
            _answer(ours, {})
        record_state(pid, cgroup)
        if prepare is not None:
            prepare(pid)
        warnings += cgroup.apply(resources)
        if adjust is not None and whole and not processes.set_oom_score(pid, int(adjust)):
            warnings.append(processes.oom_score_refused(int(adjust)))
        if birth.limits_by_creator:
            processes.set_limits(birth.execution, pid)
        if not birth.hooks:
            _answer(ours, {"pid": pid})
        if meanwhile is not None:
            meanwhile(pid)
        console, mount_namespace = _follow(birth, ours, pid, descriptor)
        work.done()
    return Born(pid, descriptor, console, cgroup, tuple(warnings), mount_namespace)


def _with_default_devices(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """The devices that every container has can be used, whatever the rules are: runtime-spec."""
    rules = resources.get("devices")
    if not rules or any(_allows_all(rule) for rule in rules):
        return resources
    missing = [rule for rule in DEVICE_RULES if rule["allow"] and rule not in rules]
    return {**resources, "devices": [*rules, *missing]} if missing else resources


def _allows_all(rule: Mapping[str, Any]) -> bool:
    return bool(
        rule.get("allow")
        and rule.get("type") in (None, "", "a")
        and rule.get("major") in (None, -1)
        and rule.get("minor") in (None, -1)
        and rule.get("access") in (None, "", "rwm")
    )


def _birth(request: Request, spaces: Namespaces, hierarchies: Mountpoints) -> Birth:
    """What the first process will do. Raises InvalidArgument, Unsupported."""
    spec = request.spec
    linux = spec.get("linux") or {}
    own = spec.get("process")
    if not own:
        raise InvalidArgument("the spec has no process: nothing to execute")
    capabilities = (own.get("capabilities") or {}).get("bounding") or ()
    execution = processes.plan(own, linux, seccomp_filter(spec, capabilities, request.cache))
    hostname, domainname = spec.get("hostname"), spec.get("domainname")
    if (hostname or domainname) and not _has(spaces, "uts"):
        raise InvalidArgument("a host name needs a uts namespace of the container's own")
    sysctl = linux.get("sysctl") or {}
    if sysctl:
        from proa.runtime.sysctl import check

        check(sysctl, spaces)
    propagation = str(linux.get("rootfsPropagation") or "")
    if propagation not in PROPAGATION:
        raise InvalidArgument(
            f"no such propagation: {propagation}; say one of {', '.join(filter(None, PROPAGATION))}"
        )
    if linux.get("timeOffsets") and "time" not in spaces.new:
        raise InvalidArgument("linux.timeOffsets need a new time namespace in linux.namespaces")
    hooks = spec.get("hooks") or {}
    if hooks:
        from proa.runtime.hooks import check as check_hooks

        check_hooks(hooks)
    return Birth(
        id=request.id,
        namespaces=spaces,
        plan=plan_rootfs(spec, bundle=request.bundle, hierarchies=hierarchies),
        execution=execution,
        hostname=hostname or None,
        domainname=domainname or None,
        propagation=propagation,
        sysctl=sysctl,
        hooks=hooks,
        state=state_for_hooks(request.id, spec, request.bundle),
        run=request.run,
        pivot=request.pivot,
        keyring=request.keyring,
        keep=request.keep,
        # in a user namespace nobody may raise a limit
        limits_by_creator=_has(spaces, "user") and bool(execution.limits),
        time_offsets=linux.get("timeOffsets") or {},
        init=INIT in (spec.get("annotations") or {}),
    )


def state_for_hooks(id: str, spec: Mapping[str, Any], bundle: str) -> dict[str, Any]:
    """The state of runtime-spec, without status and pid."""
    return {
        "ociVersion": str(spec.get("ociVersion") or "1.0.0"),
        "id": id,
        "bundle": bundle,
        "annotations": dict(spec.get("annotations") or {}),
    }


def _has(spaces: Namespaces, kind: str) -> bool:
    return kind in spaces.new or kind in spaces.joined


def _open(request: Request, birth: Birth, work: _Work) -> Handed:
    """Open what lies on the host: root file system, sources of bind mounts, namespaces."""
    root = request.rootfs
    if root is None:
        root = _clone_rootfs(request, birth)
        work.close_later(root)
    sources: list[int] = []
    for bind in birth.plan.sources:
        try:
            given = request.sources.get(bind.destination) if request.sources else None
            sources.append(bind.open() if given is None else bind.take(given))
        except OSError as error:
            raise KernelError(
                f"cannot bind {bind.source} at {bind.destination}:"
                f" {(error.strerror or str(error)).lower()}"
            ) from None
        work.close_later(sources[-1])
    joined = birth.namespaces.open_joined()
    work.close_later(*joined.values())
    return Handed(root, tuple(sources), (), joined, request.stdio, request.start)


def _clone_rootfs(request: Request, birth: Birth) -> int:
    """A detached copy of the mount of the directory that the spec names as root."""
    path = str((request.spec.get("root") or {}).get("path") or "")
    if not path:
        raise InvalidArgument("the spec has no root.path: the container has no file system")
    if not path.startswith("/"):
        path = f"{request.bundle}/{path}"
    try:
        if posix.stat(path).st_mode & 0o170000 != 0o040000:
            raise InvalidArgument(f"the root file system {path} is not a directory")
        root = mount.open_tree(AT_FDCWD, path, mount.OPEN_TREE_CLONE | AT_RECURSIVE)
    except OSError as error:
        raise KernelError(
            f"cannot open the root file system {path}: {(error.strerror or '').lower()}"
        ) from None
    # otherwise what is mounted in it would be mounted on the host too
    propagation = PROPAGATION[birth.propagation]
    if propagation != mount.MS_PRIVATE:
        propagation = mount.MS_SLAVE
    mount.mount_setattr(root, b"", propagation=propagation, flags=AT_RECURSIVE)
    return root


def _clone(
    birth: Birth, handed: Handed, theirs: Channel, ours: Channel, cgroup: int | None
) -> tuple[int, int]:
    """The first process: pid and pidfd. In the child this never returns."""
    spaces = birth.namespaces
    if "user" not in spaces.new:
        # From its first moment on, nobody in a namespace it shares may look into it. With a new
        # user namespace it would keep us from writing its mappings; there it does so itself.
        process.set_dumpable(False)
    if spaces.needs_helper:
        return _clone_by_helper(birth, handed, theirs, ours)
    pid, descriptor = clone3(spaces.clone_flags, cgroup=cgroup)
    if pid == 0:
        ours.close()  # the death of our creator has to be the end of the channel
        be_born(birth, handed, Steps(theirs))
    return pid, descriptor


def _clone_by_helper(
    birth: Birth, handed: Handed, theirs: Channel, ours: Channel
) -> tuple[int, int]:
    """As `_clone`, by a process that joins namespaces first, and makes a time namespace."""
    helper, descriptor = clone3(0)
    if helper == 0:
        ours.close()
        steps = Steps(theirs)
        try:
            _help(birth, handed, steps)
        except BaseException as error:
            steps.fail(error)
    posix.close(descriptor)
    theirs.close()
    received = ours.receive()
    posix.waitpid(helper, 0)
    if received is None:
        raise KernelError("the process that joins the container's namespaces has died")
    pid = int(checked(received[0])["pid"])
    return pid, pidfd.pidfd_open(pid)


def _help(birth: Birth, handed: Handed, steps: Steps) -> Never:
    spaces = birth.namespaces
    steps.current = "join the namespaces"
    namespaces.join(handed.joined)
    if "time" in spaces.new:
        from proa.runtime.clocks import make_time_namespace

        steps.current = "make a time namespace"
        make_time_namespace(birth.time_offsets)
    steps.current = "clone"
    pid, _ = clone3(spaces.clone_flags | CLONE_PARENT)
    if pid == 0:
        be_born(birth, replace(handed, joined={}), steps)
    steps.tell("joined", pid=pid)
    posix._exit(0)


def _delegate(cgroup: Cgroup, linux: Mapping[str, Any]) -> None:
    for uids in linux["uidMappings"]:
        for gids in linux["gidMappings"]:
            if uids["containerID"] == 0 and gids["containerID"] == 0:
                cgroup.delegate(int(uids["hostID"]), int(gids["hostID"]))


def _answer(channel: Channel, message: dict[str, Any]) -> None:
    """Tell the child; where it is gone already, it has left a word about why."""
    try:
        channel.send(message)
    except Unavailable:
        return


def _follow(birth: Birth, channel: Channel, pid: int, descriptor: int) -> tuple[int | None, str]:
    """Listen to the child until its command runs, or waits to be started.

    The terminal, if any, and the name of the mount namespace, if that is wanted.
    """
    console = None
    mount_namespace = ""
    final = False
    try:
        while (received := channel.receive()) is not None:
            message, descriptors = received
            at = str(checked(message)["at"])
            final = final or at == "final"
            if at == "terminal":
                console = descriptors[0]
            elif at == "mount-namespace":
                mount_namespace = str(message["link"])
            elif at == "mounted":
                _run_hooks(birth, pid)
                _answer(channel, {"pid": pid})
            elif at == "listener":
                from proa.runtime.notify import hand_over

                listener = pidfd.get_descriptor(descriptor, int(message["number"]))
                state = {**birth.state, "status": "creating", "pid": pid}
                assert birth.execution.filter is not None
                hand_over(birth.execution.filter, state, pid, listener)
                _answer(channel, {})
            elif at == "created":
                return console, mount_namespace
        if not final:
            raise KernelError(
                f"the container's first process died while it was set up ({_death(descriptor)})"
            )
    except BaseException:
        if console is not None:
            posix.close(console)
        raise
    return console, mount_namespace


def _death(descriptor: int) -> str:
    pidfd.wait(descriptor, 1.0)
    return "killed by the kernel or by a signal; see the kernel's log"


def _run_hooks(birth: Birth, pid: int) -> None:
    from proa.runtime.hooks import run

    state = {**birth.state, "status": "creating", "pid": pid}
    for kind in ("prestart", "createRuntime"):
        if hooks := birth.hooks.get(kind):
            run(hooks, state)


class _Work:
    """What has been made so far: taken back where it ends by an exception."""

    def __init__(self) -> None:
        self.cgroup: Cgroup | None = None
        self.process: tuple[int, int] | None = None
        self._descriptors: list[int] = []
        self._channels: tuple[Channel, ...] = ()
        self._done = False

    def close_later(self, *descriptors: int) -> None:
        """Close them when the work is over."""
        self._descriptors += descriptors

    def close_channels_later(self, *channels: Channel) -> None:
        """Likewise."""
        self._channels += channels

    def done(self) -> None:
        """It is finished, and stays."""
        self._done = True

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors:
            posix.close(descriptor)
        for channel in self._channels:
            channel.close()
        if self._done:
            return
        if self.process is not None:
            pid, descriptor = self.process
            try:
                pidfd.send_signal(descriptor, _KILL)
            except ProcessLookupError:
                pass
            posix.waitpid(pid, 0)
            posix.close(descriptor)
        if self.cgroup is not None:
            self.cgroup.kill()
            self.cgroup.remove()
