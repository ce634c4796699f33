"""One container, and what can be done with it."""

from __future__ import annotations

import posix
import time

from proa.engine import config as configs
from proa.engine import process
from proa.engine.attach import DETACH_KEYS, Attachment, Ends
from proa.engine.container_execs import ContainerExecs
from proa.engine.container_files import ContainerFiles
from proa.errors import (
    CommandNotExecutable,
    CommandNotFound,
    Conflict,
    ContainerNotFound,
    InvalidArgument,
    NoSpace,
    ProaError,
    TimedOut,
    Unavailable,
)
from proa.kernel import signals
from proa.lean import bundle
from proa.lean.channel import checked, connect, stream_pair
from proa.lean.record import replace
from proa.monitor.job import SOCKET, Job
from proa.monitor.lock import MonitorLocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as StreamSocket  # noqa: N812
    from collections.abc import Iterator, Mapping, Sequence
    from threading import Event
    from typing import Any

    from proa.engine.config import ContainerConfig
    from proa.engine.engine import Engine
    from proa.engine.images import Image
    from proa.engine.logs import LogEntry, Moment
    from proa.engine.process import Process
    from proa.lean.channel import Channel
    from proa.store.containers import ContainerRow
    from proa.store.events import Happening

STOP_TIMEOUT = 10
_LIVE = ("running", "paused", "restarting")


class Container(ContainerExecs, ContainerFiles):
    """A container of an engine. What it says about itself is as of when it was looked up;
    `reload` looks again.
    """

    def __init__(self, engine: Engine, row: ContainerRow) -> None:
        self._engine = engine
        self._row = row

    def __repr__(self) -> str:
        return f"<Container {self.short_id} {self.name}>"

    # -- what it is

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self._row.id

    @property
    def short_id(self) -> str:
        """The first twelve of them."""
        return self._row.id[:12]

    @property
    def name(self) -> str:
        """Its name."""
        return self._row.name

    @property
    def row(self) -> ContainerRow:
        """Its row in the store."""
        return self._row

    @property
    def config(self) -> ContainerConfig:
        """What was asked for."""
        return configs.from_json(self._row.config["request"])

    @property
    def status(self) -> str:
        """created, running, paused, restarting, removing, exited, dead."""
        return str(self._row.state["status"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, the image's included."""
        return dict(self._row.config["process"]["labels"])

    @property
    def pid(self) -> int:
        """Its first process on the host; 0 where it does not run."""
        return int(self._row.state.get("pid", 0))

    @property
    def exit_code(self) -> int:
        """Of its last run."""
        return int(self._row.state.get("exit_code", 0))

    @property
    def ports(self) -> dict[str, Any]:
        """Its published ports, as `port` has them."""
        return self.port()

    @property
    def health(self) -> str:
        """starting, healthy, unhealthy; unknown where nobody checks."""
        return str(self._row.state.get("health") or "unknown")

    @property
    def image(self) -> Image:
        """The image it was made from. Raises ImageNotFound where that was removed by force."""
        return self._engine.images.get(self._row.image)

    def stats(
        self, *, decode: bool | None = None, stream: bool = True, one_shot: bool = False
    ) -> Any:
        """What it uses, in the form of Docker's API: each second until it ends, as lines of JSON.

        `decode`: as objects instead. `stream=False`: one object, made of two samples half a second
        apart; with `one_shot` of one, at once.
        """
        from proa.engine import stats

        if stream:
            return stats.stream(self._engine, self, decode=bool(decode))
        return stats.single(self._engine, self, one_shot=one_shot)

    @property
    def attrs(self) -> dict[str, Any]:
        """All about it, in the form of `docker inspect`."""
        from proa.engine.inspect import describe

        return describe(self._engine.store, self._row)

    def reload(self) -> None:
        """Look again. Raises ContainerNotFound where it was removed."""
        self._row = self._engine.containers.get(self._row.id).row

    @property
    def directory(self) -> str:
        """Where its files are."""
        return self._engine.store.path("containers", self._row.id)

    # -- its life

    def start(
        self,
        *,
        monitor: Channel | None = None,
        stream: int | None = None,
        attach: dict[str, Any] | None = None,
    ) -> None:
        """Start it; without effect where it runs.

        `stream`: a byte stream's end that is attached from the first byte on; `attach` says how:
        stdin, stdout, stderr. Raises CommandNotFound, CommandNotExecutable, KernelError …
        """
        if self.status in _LIVE:
            return
        channel = monitor or self._engine.prepare_monitor()
        try:
            self._launch(channel, self._job(), stream, attach)
        except Unavailable:
            self.end_lost()
            raise
        finally:
            if monitor is None:
                channel.close()

    def start_attached(
        self,
        monitor: Channel,
        ends: Ends,
        *,
        sig_proxy: bool = True,
        detach_keys: str | None = None,
    ) -> Attachment:
        """Start it with a client attached from the first byte on; `run()` the result."""
        job = self._job()
        ours, theirs = stream_pair()
        try:
            self._launch(monitor, job, theirs.fileno(), _attach(ends, wait=True))
        except Unavailable:
            self.end_lost()
            raise
        finally:
            theirs.close()
        return Attachment(
            ends,
            ours,
            monitor,
            tty=job.tty,
            sig_proxy=sig_proxy,
            detach_keys=DETACH_KEYS if detach_keys is None else detach_keys,
            on_end=self._remove_handed_over,
            on_detach=self._note_detach,
        )

    def attach(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        logs: bool = False,
        demux: bool = False,
    ) -> Any:
        """What it writes from now on until it ends; with `logs` also what it has written before.

        Bytes; with `stream` an iterator of pieces instead, as they come. With `demux` a pair of
        stdout and stderr, or pairs. Raises Conflict where it does not run, unless for its logs.
        """
        from proa.engine.output import Output, join

        if logs:
            # exact to the byte, which a log and an attachment after it would not be
            from proa.engine.logs import pieces

            wanted = {name for name, shown in (("stdout", stdout), ("stderr", stderr)) if shown}
            found = pieces(self, frozenset(wanted), demux=demux)
            return found if stream else join(found, demux=demux)
        channel, ours = self._attach({"stdin": False, "stdout": stdout, "stderr": stderr})
        output = Output(ours, channel, tty=self.config.tty, demux=demux)
        return output if stream else join(output, demux=demux)

    def attach_socket(self, *, stdin: bool = True, stdout: bool = True, stderr: bool = True) -> Any:
        """A `socket.socket` to its standard streams: what is written to it is its input.

        What is read from it is its output, framed as in Docker's API unless it has a terminal.
        Raises Conflict where it does not run.
        """
        import socket

        channel, ours = self._attach({"stdin": stdin, "stdout": stdout, "stderr": stderr})
        channel.close()
        return socket.socket(fileno=ours.detach())

    def attach_stream(self, stream: int, how: Mapping[str, Any]) -> None:
        """Connect a byte stream's end with its standard streams; `how`: stdin, stdout, stderr.

        What comes out is framed as in Docker's API unless it has a terminal. Raises Conflict.
        """
        channel = self.connect()
        try:
            checked(channel.request({"op": "attach", **how}, [stream]))
        finally:
            channel.close()

    def _attach(self, how: dict[str, Any]) -> tuple[Channel, StreamSocket]:
        """A channel that brings the end, and a byte stream to its standard streams."""
        self._require_running("attach to")
        if self.status == "paused":
            raise Conflict(f"container {self.name} is paused, unpause the container before attach")
        channel = self.connect()
        channel.send({"op": "wait", "condition": "next-exit"})
        ours, theirs = stream_pair()
        try:
            self.attach_stream(theirs.fileno(), how)
        finally:
            theirs.close()
        return channel, ours

    def begin_attached(
        self, ends: Ends, *, sig_proxy: bool = True, detach_keys: str | None = None
    ) -> Attachment:
        """Attach a client to it while it runs; `run()` the result. Raises Conflict."""
        channel, ours = self._attach(_attach(ends))
        return Attachment(
            ends,
            ours,
            channel,
            tty=self.config.tty,
            redraw=True,
            sig_proxy=sig_proxy,
            detach_keys=DETACH_KEYS if detach_keys is None else detach_keys,
            on_detach=self._note_detach,
        )

    def note(self, happenings: Sequence[Happening]) -> None:
        """Note what has happened to it and has changed nothing in the store, as events."""
        try:
            self._engine.store.containers.note(self.id, happenings)
        except NoSpace:
            pass  # what was asked for is done all the same

    def _note_detach(self) -> None:
        self.note((("detach", 0, {}),))

    def stop(self, timeout: int | None = None, signal: str | None = None) -> None:
        """Ask it to end, make it end after `timeout` seconds (below 0: never); wait for that.

        By default the stop signal and timeout it was made with, else SIGTERM and 10 seconds.
        """
        if self.status not in _LIVE:
            return
        job = self._job()
        self._request(
            {
                "op": "stop",
                "signal": signals.parse(signal) if signal else job.stop_signal,
                "timeout": job.stop_timeout if timeout is None else timeout,
            }
        )

    def halt(self) -> None:
        """Stop it since the machine goes down: `proa system boot` starts it again."""
        if self.status in _LIVE:
            self._request({"op": "halt"})

    def restart(self, timeout: int | None = None, signal: str | None = None) -> None:
        """Stop it where it runs, and start it."""
        self.stop(timeout, signal)
        self.reload()
        self.start()
        self.note((("restart", 0, {}),))

    def kill(self, signal: str | int = "KILL") -> None:
        """Send it a signal. Raises Conflict where it does not run."""
        number = signals.parse(str(signal))
        self._require_running("kill")
        self._request({"op": "kill", "signal": number})
        if number == signals.parse("KILL"):
            self.wait()

    def pause(self) -> None:
        """Freeze its processes. Raises Conflict."""
        self._require_running("pause")
        self._request({"op": "pause"})

    def unpause(self) -> None:
        """Let them go on. Raises Conflict."""
        self._require_running("unpause")
        self._request({"op": "resume"})

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal the size. Raises InvalidArgument, Conflict."""
        if not (0 <= rows < 1 << 16 and 0 <= columns < 1 << 16):
            raise InvalidArgument(f"a terminal cannot have {rows} rows and {columns} columns")
        self._require_running("resize")
        self._request({"op": "resize", "rows": rows, "columns": columns})

    def wait(self, condition: str = "not-running", *, timeout: float | None = None) -> int:
        """Wait until it does not run (or `next-exit`, `removed`); its exit code.

        Raises TimedOut after `timeout` seconds.
        """
        if condition == "next-exit" or self.status in _LIVE:
            message = {"op": "wait", "condition": condition}
            try:
                code = int(self._request(message, timeout=timeout)["exited"])
            except (Unavailable, Conflict):
                code = None  # it ended just now
        else:
            code = None
        try:
            self.reload()
        except ContainerNotFound:
            return code or 0
        return self.exit_code if code is None else code

    def rename(self, name: str) -> None:
        """Give it another name. Raises AlreadyExists, InvalidArgument."""
        from proa.engine.create import check_name

        check_name(name)
        plain = name.removeprefix("/")
        if plain == self.name:
            raise Conflict(f"renaming a container with the same name as its current name: {plain}")
        self._engine.store.containers.rename(self.id, plain)
        self.reload()

    def update(self, **options: Any) -> dict[str, list[str]]:
        """Change limits and the restart policy, from this moment on: as docker-py's `update`.

        `options`: blkio_weight, cpu_period, cpu_quota, cpu_shares, cpuset_cpus, cpuset_mems,
        mem_limit, mem_reservation, memswap_limit, kernel_memory, restart_policy; also cpus,
        nano_cpus and pids_limit. Returns `{"Warnings": …}`: what was recorded and could not be
        applied. Raises InvalidArgument, Conflict, KernelError where the kernel refuses.
        """
        from proa.engine.update import from_options

        return {"Warnings": self.change(from_options(options))}

    def change(self, changes: Mapping[str, Any]) -> list[str]:
        """As `update`, by the names of ContainerConfig; returns the warnings."""
        from proa.engine.update import record

        if self.status in ("removing", "dead"):
            raise Conflict(f"cannot update container {self.name}: it is {self.status}; remove it")
        config, resources = record(self._engine.store, self._row, changes)
        self.reload()
        warnings: list[str] = []
        if self.status in _LIVE:
            try:
                if resources and self.status != "restarting":
                    answer = self._request({"op": "update", "resources": resources})
                    warnings = list(answer["warnings"])
                if "restart" in changes:
                    policy, maximum = config.restart.name, config.restart.maximum_retry_count
                    self._request({"op": "restart-policy", "policy": policy, "maximum": maximum})
            except Unavailable:
                pass  # it has just ended: the next start has it
        self._engine.warn(warnings)
        return warnings

    def remove(self, *, v: bool = False, force: bool = False) -> None:
        """Remove it with its changes and its log; `force`: also where it runs.

        `v`: its volumes too that nobody has named, unless another container has them.
        """
        if self.status in _LIVE:
            if not force and self._runs():
                raise Conflict(
                    f'cannot remove container "/{self.name}": container is {self.status}: stop the'
                    " container before removing or force remove"
                )
            try:
                self._request({"op": "stop", "signal": 9, "timeout": 0, "noted": False})
            except (Unavailable, Conflict):
                pass  # it has just ended
        self._remove_ended(volumes=v or self.config.auto_remove)

    def _remove_ended(self, *, volumes: bool) -> None:
        from proa.engine.rootless import snapshots as snapshots_of

        store = self._engine.store
        try:
            # what is interrupted goes on as it was begun
            state = {**self._row.state, "status": "removing", "pid": 0, "volumes": volumes}
            store.containers.set_state(self.id, state)
        except ContainerNotFound:
            return  # someone else was faster
        except NoSpace:
            pass  # what is removed now makes room for the word of it
        self.end_lost()
        snapshots_of(store.root).remove(self.directory)
        if self.config.network_mode not in ("none", "host"):
            from proa.engine.endpoints import release

            release(store, self.id)
        self._delete_row(volumes=volumes)

    def _delete_row(self, happenings: Sequence[Happening] = (), *, volumes: bool) -> None:
        if volumes and self.config.mounts:
            from proa.engine.mounted import delete

            delete(self._engine.store, self._row, happenings)
        else:
            self._engine.store.containers.delete(self.id, happenings)

    def _remove_handed_over(self, message: Mapping[str, Any]) -> None:
        """Remove what its monitor has left to us: first its files, then, with all else ended, it.

        Nothing marks that the removal has begun: with `--rm` it is what follows in any state.
        """
        from proa.engine.rootless import snapshots as snapshots_of

        store = self._engine.store
        snapshots_of(store.root).remove(self.directory)
        if "happenings" in message:
            if self._row.config["request"]["network_mode"] not in ("none", "host"):
                store.networks.release(self.id)
            self._delete_row(message["happenings"], volumes=True)

    def end_lost(self) -> None:
        """End what a monitor that was killed has left running; nothing where one lives."""
        if not posix.access(self._engine.store.path("run", self.id), posix.F_OK):
            return
        if self._is_held():
            return
        from proa.engine.recover import end

        end(self._engine.store, self.id)

    def _is_held(self) -> bool:
        """Whether a monitor has it."""
        locks = MonitorLocks(self._engine.root)
        try:
            return bool(locks.holder(self._row.row))
        finally:
            locks.close()

    def record_failure(self, error: ProaError) -> None:
        """Note that it could not be started; once."""
        if self._row.state.get("error") == str(error):
            return
        code = {CommandNotFound: 127, CommandNotExecutable: 126}.get(type(error), 128)
        changes = {
            "status": "exited" if self._row.state.get("started_at") else "created",
            "pid": 0,
            "exit_code": code,
            "error": str(error),
            "owner": 0,
        }
        happenings: list[Happening] = [("die", time.time_ns(), {"exitCode": str(code)})]
        state = {**self._row.state, **changes}
        self._engine.store.containers.set_state(self.id, state, happenings)
        self._row = replace(self._row, state=state)

    # -- looking into it

    def logs(
        self,
        *,
        stdout: bool = True,
        stderr: bool = True,
        stream: bool = False,
        timestamps: bool = False,
        tail: int | str = "all",
        since: Moment = None,
        until: Moment = None,
        follow: bool | None = None,
    ) -> bytes | Iterator[bytes]:
        """Its output so far; with `stream` (or `follow`) an iterator of lines instead.

        `follow`: go on until it ends, as `stream` does unless this is False. `tail`: so many last
        lines. `since`, `until`: a datetime, or seconds since 1970.
        """
        from proa.engine.logs import read_bytes

        return read_bytes(
            self,
            streams=frozenset(
                name for name, wanted in (("stdout", stdout), ("stderr", stderr)) if wanted
            ),
            stream=stream,
            timestamps=timestamps,
            tail=tail,
            since=since,
            until=until,
            follow=stream if follow is None else follow,
        )

    def log_entries(
        self,
        *,
        follow: bool = False,
        tail: int | None = None,
        since: int | None = None,
        until: int | None = None,
        ended: Event | None = None,
    ) -> Iterator[LogEntry]:
        """Its output so far, and with `follow` as it comes until the container ends.

        `tail`: only so many last lines; `since`, `until`: nanoseconds since 1970. `ended`: who
        follows may set it, to be given the end.
        """
        from proa.engine.logs import read_logs

        return read_logs(self, follow=follow, tail=tail, since=since, until=until, ended=ended)

    def top(self, arguments: str = "-ef") -> tuple[list[str], list[list[str]]]:
        """Its processes as ps(1) with `arguments` shows them: titles, rows. Raises Conflict."""
        from proa.engine.top import processes

        self._require_running("list the processes of")
        found = processes(self._engine, self, arguments)
        self.note((("top", 0, {}),))
        return found

    def port(self) -> dict[str, list[dict[str, str]]]:
        """Its published ports: the host's addresses and ports of each, `80/tcp`."""
        found: dict[str, list[dict[str, str]]] = {}
        for port, protocol, address, host_port in self._row.state.get("ports") or ():
            binding = {"HostIp": address, "HostPort": str(host_port)}
            found.setdefault(f"{port}/{protocol}", []).append(binding)
        return found

    def change_network(self, message: Mapping[str, Any]) -> None:
        """Have its monitor connect or disconnect it; see `engine.connect`."""
        self._request({"op": "network", **message})

    def set_request(self, request: Mapping[str, Any]) -> None:
        """Record another request in the place of the one it was made by."""
        changed = {**self._row.config, "request": request}
        self._engine.store.containers.set_config(self.id, changed)
        self.reload()

    # -- inside

    def _launch(
        self,
        monitor: Channel,
        job: Job,
        stream: int | None = None,
        attach: dict[str, Any] | None = None,
    ) -> None:
        from proa.monitor.launch import start

        starting = None
        try:
            if self._row.config["request"]["network_mode"] not in ("none", "host"):
                with bundle.Part("network"):
                    from proa.engine.endpoints import Starting

                    starting = Starting(self._engine.store, self._row, self.config)
                    job = replace(job, network=starting.plan())
            warnings = start(monitor, job, stream=stream, attach=attach)
        except Unavailable:
            raise  # nobody knows
        except ProaError as error:
            if not self._is_held():
                if starting is not None:
                    starting.take_back()
                self.record_failure(error)
            raise
        finally:
            if starting is not None:
                starting.close()
        self._row = replace(self._row, state={**self._row.state, "status": "running"})
        self._engine.warn(warnings)

    def _job(self) -> Job:
        config = self.config
        resolved = process.from_json(self._row.config["process"])
        stdin_once = config.open_stdin and config.attach_stdin
        healthcheck = None
        if resolved.healthcheck is not None:
            from proa.engine.health import plan

            healthcheck = plan(resolved)
        volumes: list[dict[str, Any]] = []
        anonymous: tuple[str, ...] = ()
        if any(mount.kind in ("volume", "image") for mount in config.mounts):
            from proa.engine import mounted

            volumes = mounted.entries(self._engine.store, self._row, config.mounts)
            anonymous = mounted.anonymous(self._row.config["request"])
        return Job(
            root=self._engine.root,
            row=self._row.row,
            id=self.id,
            layers=tuple(map(str, self._row.layers)),
            tty=config.tty,
            open_stdin=config.open_stdin,
            stdin_once=stdin_once,
            stop_signal=signals.parse(resolved.stop_signal),
            stop_timeout=STOP_TIMEOUT if config.stop_timeout is None else config.stop_timeout,
            user=resolved.user,
            groups_add=config.groups_add,
            join=configs.joined(config) or None,
            restart=config.restart.name,
            restart_maximum=config.restart.maximum_retry_count,
            auto_remove=config.auto_remove,
            log_driver=config.log_driver,
            log_options=config.log_options,
            log_info=self._log_info(config, resolved),
            runtime=_runtime(config.runtime),
            read_only=config.read_only,
            healthcheck=healthcheck,
            edits=_edits(config),
            volumes=tuple(volumes),
            anonymous_volumes=anonymous,
        )

    def _log_info(self, config: ContainerConfig, resolved: Process) -> dict[str, Any] | None:
        if config.log_driver in ("json-file", "none"):
            return None
        from proa.engine.log_info import info
        from proa.monitor.drivers.options import REMOTE

        return info(self._row, config, resolved) if config.log_driver in REMOTE else None

    def log_details(self) -> dict[str, str]:
        """The labels and variables that its log options name, and its tag where they set one."""
        from proa.engine.log_info import details

        resolved = process.from_json(self._row.config["process"])
        return details(self._row, self.config, resolved)

    def _require_running(self, deed: str) -> None:
        if self.status not in _LIVE:
            raise Conflict(f"cannot {deed} container {self.name}: it is not running")

    def _require_unfrozen(self, deed: str) -> None:
        self._require_running(f"{deed} in")
        if self.status == "paused":
            raise Conflict(f"container {self.name} is paused, unpause the container before {deed}")

    def _runs(self) -> bool:
        """Whether its monitor says so too: on a full disk the row may not know of its end yet."""
        try:
            return bool(self._request({"op": "running"})["running"])
        except (Unavailable, Conflict):
            return False

    def connect(self) -> Channel:
        """A channel to its monitor. Raises Conflict where it does not run, Unavailable."""
        if not self._is_held():
            raise Conflict(f"container {self.name} is not running")
        return connect(self._engine.store.path("run", self.id), SOCKET)

    def _request(self, message: dict[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        channel = self.connect()
        try:
            if timeout is None:
                return checked(channel.request(message))
            channel.send(message)
            if not channel.wait(timeout):
                raise TimedOut(f"container {self.name} has not ended in {timeout:g} seconds")
            answer = channel.receive()
            if answer is None:
                raise Unavailable(f"the monitor of container {self.name} went away")
            return checked(answer[0])
        finally:
            channel.close()


def _runtime(name: str | None) -> str | None:
    if name is None:
        return None
    from proa.monitor.foreign import find_runtime

    return find_runtime(name)


def _edits(config: ContainerConfig) -> dict[str, Any] | None:
    """What the devices that it asks for by name need, as they are described now."""
    if not config.device_requests:
        return None
    from proa.engine.cdi.requests import plan

    return plan(config.device_requests)


def _attach(ends: Ends, *, wait: bool = False) -> dict[str, Any]:
    return {
        "stdin": ends.stdin is not None,
        "stdout": ends.stdout is not None,
        "stderr": ends.stderr is not None,
        "wait": "next-exit" if wait else "",
    }
