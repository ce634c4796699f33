"""The monitor itself: runs one container through its starts, its end, and what comes after."""

from __future__ import annotations

import posix
import select
import time

from proa.errors import Conflict, CorruptData, ProaError, Unavailable
from proa.lean import bundle, clock
from proa.monitor import restart
from proa.monitor.lock import MonitorLocks
from proa.monitor.log import open_log
from proa.monitor.loop import READ, Loop
from proa.monitor.prepare import apply_user, prepare_spec
from proa.monitor.recorder import Recorder
from proa.monitor.stdio import Streams
from proa.runtime.container import Container, Stdio
from proa.snapshot.choose import choose_snapshots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.lean.channel import Channel
    from proa.monitor.control import Control
    from proa.monitor.health import Health
    from proa.monitor.job import Job
    from proa.monitor.log import NoLog
    from proa.monitor.loop import Timer
    from proa.monitor.network import Network
    from proa.monitor.volumes import Volumes
    from proa.runtime.embryo import Embryo
    from proa.store.events import Happening

LINGER = 600.0
"""Seconds that a monitor stays for a viewer who does not take the last output."""
LOG_LINGER = 10.0
"""Seconds that it stays for one who keeps the log and does not take its end."""
_SETTLED = 1.0
"""Seconds after which a monitor gives back the memory that it needed to start a container."""
_PATIENCE = 5.0
"""Seconds that whoever waits for the end has to remove the container."""
_AGAIN = 1.0
"""Seconds until the database is told once more what it could not take."""
_NEWS = 0.02
"""Seconds that an event may wait for others, and for a change of the row to go along with."""
_HASTE = 0.005
"""Seconds that a container may run before the database is told: who is attached from its first
byte on waits for its end, and many are over by then."""


class Monitor:
    """Runs the container of `job`; answers to whoever talks to its socket."""

    def __init__(self, job: Job, embryo: Embryo | None = None) -> None:
        self.job = job
        self._embryo = embryo
        """what may become the container's first process, once"""
        self.loop = Loop()
        self.streams: Streams | None = None
        self.container: Container | None = None
        self.directory = f"{job.root}/containers/{job.id}"
        self.run_directory = f"{job.root}/run/{job.id}"
        self.stopped = False
        """someone asked for the container's end: it is not started again"""
        self._halted = False
        """because the machine goes down: when it is up again, it is"""
        self._stopping = False
        """… and not by a signal alone"""
        self._locks = MonitorLocks(job.root)
        self._control: Control | None = None
        self._log: NoLog | None = None
        self._closed_log: NoLog | None = None
        """what of the log may still have to be delivered"""
        self._state: dict[str, Any] = {}
        """of the container, as far as this monitor has changed it"""
        self._left = False
        self._warnings: list[str] = []
        self._sources: dict[str, int] = {}
        """detached mounts of other containers, by where they go"""
        self._restarts = job.restart_count
        self._recorder = Recorder(job.root, job.id)
        self._restart_timer: Timer | None = None
        self._kill_timer: Timer | None = None
        self._record_timer: Timer | None = None
        self._unrecorded: dict[str, Any] = {}
        """of the container's state, what the database has not been told yet"""
        self._happenings: list[Happening] = []
        """events that the database has not been told of yet"""
        self._news_timer: Timer | None = None
        self._attached = False
        """whoever started the container waits for its end, and has the store at hand"""
        self.network: Network | None = None
        """None: its network is nothing that has to be made"""
        if job.network is not None:
            with bundle.Part("monitor-network"):
                from proa.monitor.network import Network

            self.network = Network(self.loop, job.root, job.id, job.network)
        self._starter: Channel | None = None
        self._health: Health | None = None
        self._renewing = False
        """it is being ended in order to be started again"""
        self._holders: set[int] = set()
        """clients that keep the container's processes from running"""
        self._delay = 0.0
        self._began = 0.0
        self._ended = False

    # -- the life of the container

    def run(self, starter: Channel, viewer: int | None, attach: dict[str, Any]) -> None:
        """Start the container, tell `starter`, and stay until all is over.

        `viewer`: a byte stream to attach from the first byte on, as `attach` says.
        """
        self._attached = viewer is not None and bool(attach.get("wait"))
        self._starter = starter
        if viewer is not None:
            self.note("attach", later=True)
        if not self._locks.acquire(self.job.row):
            raise Conflict(f"container {self.job.id[:12]} is running already")
        try:
            posix.mkdir(self.run_directory, 0o700)
        except FileExistsError:
            pass
        try:
            self._log = open_log(self.job, self.directory, self.loop, self._note_log)
            self._start(viewer, attach)
        except FileNotFoundError as error:
            self._fail()
            if posix.access(self.directory, posix.F_OK):
                raise
            raise CorruptData(
                f"the directory {self.directory} of the container is missing: it cannot be"
                f" started; remove it with 'proa rm {self.job.id[:12]}', and make it anew"
            ) from error
        except BaseException:
            self._fail()
            raise
        assert self._control is not None
        self._control.serve(starter)
        if attach.get("wait"):
            self._control.wait(starter, attach["wait"])
        container = self.running()
        starter.send({"started": container.pid, "warnings": [*self._warnings, *container.warnings]})
        bundle.save()
        if self._unrecorded:
            self._record_timer = self.loop.after(_HASTE, self._record_late)
        self.loop.after(_SETTLED, _release_memory)
        while not self._ended:
            self.loop.step()
        self._linger()

    def _start(self, viewer: int | None, attach: dict[str, Any]) -> None:
        job = self.job
        spec, self._warnings = prepare_spec(job, self._sources)
        streams = Streams(
            self.loop,
            log=self._log_of(),
            tty=job.tty,
            stdin=job.open_stdin,
            spill=self.directory,
        )
        self._log_of().flow(streams.hold, streams.release)
        self.streams = streams
        snapshots = choose_snapshots(job.root)
        rootfs = snapshots.mount(f"{self.directory}/snapshot", job.layers)
        volumes: Volumes | None = None
        try:
            if job.volumes:
                from proa.monitor.volumes import Volumes

                volumes = Volumes(job, snapshots)
                volumes.open(rootfs, self._sources, first=self._restarts == job.restart_count)
            apply_user(rootfs, spec["process"], job.user, job.groups_add)
            stdio = Stdio(*streams.child) if streams.child is not None else None
            if job.runtime is not None:
                self.container = self._create_by(job.runtime, spec, stdio, rootfs)
            else:
                self.container = Container.create(
                    job.id,
                    spec,
                    root=f"{job.root}/run/oci",
                    bundle=self.directory,
                    stdio=stdio,
                    rootfs=rootfs,
                    sources=self._sources,
                    run=True,
                    prepare=self.network.begin if self.network is not None else None,
                    meanwhile=self._begun,
                    cache=f"{job.root}/cache",
                    embryo=self._embryo,
                )
            self._started()
        finally:
            posix.close(rootfs)
            if self._embryo is not None:
                self._embryo.close()
                self._embryo = None
            while self._sources:
                posix.close(self._sources.popitem()[1])
            if volumes is not None:
                volumes.release()
        self._began = time.monotonic()
        if job.tty and self.container.console is not None:
            streams.use_terminal(self.container.console)
        if viewer is not None:
            self.attach(viewer, attach)
        streams.begin()
        self.loop.watch(self.container.pidfd, READ, self._exited)
        if job.healthcheck is not None:
            if self._health is None:
                from proa.monitor.health import Health

                self._health = Health(self, job.healthcheck)
            self._health.begin()

    def _create_by(
        self, runtime: str, spec: dict[str, Any], stdio: Stdio | None, rootfs: int
    ) -> Container:
        """The container, made by another OCI runtime."""
        from proa.monitor import foreign

        return foreign.create(
            runtime,
            self.job.id,
            spec,
            root=f"{self.job.root}/run/oci",
            work=f"{self.run_directory}/foreign",
            bundle=self.directory,
            rootfs=rootfs,
            sources=self._sources,
            stdio=stdio,
            prepare=self.network.begin if self.network is not None else None,
            meanwhile=self._begun,
        )

    def _begun(self, pid: int) -> None:
        """The first process is being set up: get ready for those who will talk to us."""
        if self._control is None:
            from proa.monitor.control import Control

            self._control = Control(self)
        running = {
            "status": "running",
            "pid": pid,
            "started_at": clock.now(),
            "exit_code": 0,
            "error": "",
            "oom_killed": False,
            "owner": 0,
            "restart_count": self._restarts,
            "boot": clock.boot_id(),
            "stopped": False,
            "interrupted": False,
        }
        if self.job.healthcheck is not None:
            running["health"] = "starting"
        if self.job.log_info is not None:
            running["log_error"] = ""
        if self.network is not None:
            running["ports"] = self.network.ports
        self._state.update(running)
        self._unrecorded = running
        if self._is_told_at_once():
            self._recorder.prepare(running, [*self._happenings, ("start", time.time_ns(), {})])

    def _started(self) -> None:
        """The command is being executed."""
        if not self._is_told_at_once():
            self.note("start", later=True)
            return
        # whoever is told of the start finds it in the database
        self._recorder.finish()
        self._unrecorded = {}
        self._happenings.clear()

    def _is_told_at_once(self) -> bool:
        """Whether the start is in the database before anybody is told of it."""
        # another container may be waiting to find in this one a volume that they share
        return not self._attached or bool(self.job.volumes)

    def _log_of(self) -> NoLog:
        assert self._log is not None
        return self._log

    def _exited(self, _events: int) -> None:
        """The container's first process is gone, and with it all others of its pid namespace."""
        container, streams = self.container, self.streams
        assert container is not None and streams is not None
        self.loop.forget(container.pidfd)
        self.loop.cancel(self._kill_timer)
        self.loop.cancel(self._record_timer)
        self._kill_timer = None
        exit_code = reap(container.pid)
        out_of_memory = exit_code == 137 and container.was_out_of_memory()
        if self._health is not None:
            self._health.end()
        streams.finish()
        own = self.job.runtime is None
        if own and self.job.auto_remove and self._is_awaited and streams.delivered:
            # its files can go while we take down the rest of it
            self._tell_starter({"gone": True})
        container.delete(force=True)
        self.container = None
        ran = time.monotonic() - self._began
        if out_of_memory:
            self.note("oom", later=True)
        ended = {"exitCode": str(exit_code), "execDuration": str(int(ran))}
        self.note("die", ended, later=True)
        if self._stopping:
            self._stopping = False
            self.note("stop", later=True)
        again = restart.wanted(
            self.job.restart,
            self.job.restart_maximum,
            exit_code,
            self._restarts,
            stopped=self.stopped,
            renewed=self._renewing,
        )
        self._renewing = False
        finished = {
            "pid": 0,
            "exit_code": exit_code,
            "finished_at": clock.now(),
            "oom_killed": out_of_memory,
        }
        if self._health is not None:
            finished["health"] = self._health.status
        if again:
            self._delay = restart.next_delay(self._delay, ran)
            self._record_late(status="restarting", **finished)
            self._restart_timer = self.loop.after(self._delay, self._restart)
            self._tell("next-exit", exit_code)
            return
        self._finish(finished)

    def _restart(self) -> None:
        self._restart_timer = None
        self._attached = False
        self._restarts += 1
        try:
            self._start(None, {})
        except (ProaError, OSError) as error:
            self._recorder.drop()
            if self.streams is not None:
                self.streams.close()
            self.note("die", {"exitCode": "128"}, later=True)
            self._finish(
                {"pid": 0, "exit_code": 128, "error": str(error), "finished_at": clock.now()}
            )

    def _finish(self, finished: dict[str, Any]) -> None:
        """The container has ended for good: record it or remove it, and tell everyone."""
        finished = {
            **finished,
            "stopped": self.stopped and not self._halted,
            "interrupted": self._halted,
        }
        if self._health is not None:
            finished.setdefault("health", "unhealthy")
        if self._log is not None:
            self._log.close()
            self._log, self._closed_log = None, self._log
        exit_code, error = int(finished["exit_code"]), str(finished.get("error", ""))
        if self.network is not None:
            self.network.end()
            finished["ports"] = []
        try:
            if not self.job.auto_remove:
                self._record(status="exited", **finished)
            elif not self._is_removed_by_starter({"exited": exit_code, "error": error}):
                self._recorder.remove(self.directory, self._happenings, self.job.anonymous_volumes)
        except Unavailable:
            # a full disk, most likely: what the exit code was is not forgotten over that
            self._attached = False
            self._tell("all", exit_code, error)
            self.loop.after(_AGAIN, lambda: self._finish(finished))
            return
        self._forget_news()
        self._leave()
        self._tell("all", exit_code, error)
        self._ended = True

    def _fail(self) -> None:
        """It could not be started: leave nothing that runs."""
        if self.container is not None:
            self.container.kill(9)
            reap(self.container.pid)
            self.container.delete(force=True)
        if self.network is not None:
            self.network.end()
        self._recorder.drop()
        self._recorder.rest()
        if self.streams is not None:
            self.streams.close()
        if self._log is not None:
            self._log.close()
        self._leave()

    def _leave(self) -> None:
        """Give up the socket and the lock: from now on another monitor may take the container."""
        if self._left:
            return
        self._left = True
        if self._control is not None:
            self._control.stop_listening()
        for remove, path in (
            (posix.unlink, f"{self.run_directory}/monitor.sock"),
            (posix.rmdir, self.run_directory),
        ):
            try:
                remove(path)
            except FileNotFoundError:
                continue
        self._locks.close()

    def _is_removed_by_starter(self, exited: Mapping[str, Any]) -> bool:
        """Let the one who waits for the end remove the container; whether that was done.

        It has all that is needed in memory, which this process has yet to import.
        """
        starter = self._starter
        if not self._is_awaited or starter is None:
            return False
        self._leave()
        poll = select.poll()
        poll.register(starter.fileno(), select.POLLIN)
        try:
            starter.send({**exited, "left": True, "happenings": self._happenings})
            while poll.poll(_PATIENCE * 1000):
                received = starter.receive()
                if received is None:
                    return False
                if received[0].get("op") == "done":
                    return True
        except (ProaError, OSError):
            pass
        return False

    @property
    def _is_awaited(self) -> bool:
        """Whether who started the container waits for its end."""
        return self._attached and self._starter is not None and self._starter.fileno() >= 0

    def _tell_starter(self, message: dict[str, Any]) -> None:
        assert self._starter is not None
        try:
            self._starter.send(message)
        except Unavailable:
            return  # it is gone itself

    def _linger(self) -> None:
        """Stay until every viewer has all of the output, and the log's keeper."""
        if self._closed_log is not None and not self._closed_log.delivered:
            self._deliver_log(self._closed_log)
        late = self.loop.after(LINGER, _nothing)
        deadline = time.monotonic() + LINGER
        while self.streams is not None and not self.streams.delivered:
            if time.monotonic() > deadline:
                break
            self.loop.step()
        self.loop.cancel(late)
        if self._happenings:
            self._record_late()
        self._recorder.rest()
        self._recorder.tidy()
        if self.network is not None:
            self.network.leave()

    def _deliver_log(self, log: NoLog) -> None:
        late = self.loop.after(LOG_LINGER, _nothing)
        deadline = time.monotonic() + LOG_LINGER
        while not log.delivered and time.monotonic() < deadline:
            self.loop.step()
        self.loop.cancel(late)
        if not log.delivered:
            self._note_log("the end of the log was not delivered: the log target is too slow")

    def _note_log(self, text: str) -> None:
        """The log's keeper has gone, or something of it was lost."""
        self.note("log_error", {"error": text}, later=True)
        self._record_late(log_error=text)

    def _record_late(self, **changes: Any) -> None:
        """As `_record`; where the database cannot take it (a full disk), it is told again."""
        self.loop.cancel(self._record_timer)
        self._record_timer = None
        unrecorded = {**self._unrecorded, **changes}
        try:
            self._record(**changes)
        except Unavailable:
            self._unrecorded = unrecorded
            self._record_timer = self.loop.after(_AGAIN, self._record_late)

    def _record(self, **changes: Any) -> None:
        """Write what has changed to the container's row."""
        changes = {**self._unrecorded, **changes}
        self._unrecorded = {}
        self._state.update(changes)
        if changes or self._happenings:
            self._recorder.write(changes, self._happenings)
        self._forget_news()

    def _forget_news(self) -> None:
        """The database has been told of all that has happened."""
        self.loop.cancel(self._news_timer)
        self._news_timer = None
        self._happenings.clear()

    def note(
        self, action: str, more: Mapping[str, str] | None = None, *, later: bool = False
    ) -> None:
        """Something has happened to the container that is an event.

        `more`: its attributes, beside those of every event of the container. The database is told
        with the next change of the row, and soon; `later`: the caller sees to that.
        """
        self._happenings.append((action, time.time_ns(), more or {}))
        if not later and self._news_timer is None:
            self._news_timer = self.loop.after(_NEWS, self._record_late)

    def _tell(self, event: str, exited: int, error: str = "") -> None:
        if self._control is not None:
            self._control.tell_exit(event, exited, error)

    # -- what others ask for; see control

    def attach(self, stream: int, how: dict[str, Any]) -> None:
        """Connect a client's byte stream to the container."""
        assert self.streams is not None
        names = frozenset(name for name in ("stdout", "stderr") if how.get(name, True))
        stdin = bool(how.get("stdin")) and self.job.open_stdin
        self.streams.attach(stream, streams=names, stdin=stdin, stdin_once=self.job.stdin_once)

    def set_ports(self, ports: list[list[Any]]) -> None:
        """Other ports are published from now on."""
        self._record(ports=ports)

    def record(self) -> None:
        """Tell the database what it has not been told yet."""
        if self._unrecorded:
            self._record_late()

    @property
    def lives(self) -> bool:
        """Whether the container runs, or is about to be started again."""
        return self.container is not None or self._restart_timer is not None

    def running(self) -> Container:
        """The container, if it runs. Raises Conflict."""
        if self.container is None:
            raise Conflict(f"container {self.job.id[:12]} is not running")
        return self.container

    def kill(self, signal: int) -> None:
        """Send a signal to the container's first process."""
        final = signal in (9, self.job.stop_signal)
        if self.container is None and self._restart_timer is not None and final:
            self.stop(signal, 0)
            return
        if final:
            self._stop_by_user()
        if signal == 9:
            self._thaw()
        self.running().kill(signal)
        self.note("kill", {"signal": str(signal)})

    def stop(self, signal: int, timeout: float, *, noted: bool = True) -> None:
        """Ask the container to end; after `timeout` seconds (below 0: never) make it.

        `noted`: that is an event.
        """
        self._stopping = self._stopping or noted
        self._stop_by_user()
        self._stop(signal, timeout)

    def halt(self) -> None:
        """As `stop`, since the machine goes down: it is to run again afterwards."""
        self.stopped = self._halted = self._stopping = True
        self._stop(self.job.stop_signal, self.job.stop_timeout)

    def _stop_by_user(self) -> None:
        self.stopped = True
        self._halted = False
        if self.job.restart == "unless-stopped":
            # should the machine go down before it has ended, it is known all the same
            self._record_late(stopped=True)

    def _stop(self, signal: int, timeout: float) -> None:
        if self._restart_timer is not None:
            self.loop.cancel(self._restart_timer)
            self._restart_timer = None
            if self._stopping:
                self.note("stop", later=True)
            self._finish({"pid": 0, "exit_code": int(self._state["exit_code"])})
            return
        self._end(signal, timeout)

    def _end(self, signal: int, timeout: float) -> None:
        self._thaw()
        container = self.running()
        if timeout != 0 or signal == 9:
            container.kill(signal)
            self.note("kill", {"signal": str(signal)})
        if signal != 9 and timeout >= 0:
            self.loop.cancel(self._kill_timer)
            self._kill_timer = self.loop.after(timeout, self._kill_now)

    def pause(self) -> None:
        """Freeze all processes of the container."""
        if self._state.get("status") == "paused":
            raise Conflict(f"container {self.job.id[:12]} is already paused")
        if not self._holders:
            self.running().pause()
        if self._health is not None:
            self._health.pause()
        self.note("pause", later=True)
        self._record(status="paused")

    def resume(self) -> None:
        """Let them go on."""
        if self._state.get("status") != "paused":
            raise Conflict(f"container {self.job.id[:12]} is not paused")
        self._thaw()

    def hold(self, client: int) -> None:
        """Keep all processes from running until `client` lets go; see `let_go`."""
        if not self._holders and self._state.get("status") != "paused":
            self.running().pause()
        self._holders.add(client)

    def let_go(self, client: int) -> None:
        """Let them go on, unless another client holds them, or someone has paused them."""
        if client not in self._holders:
            return
        self._holders.discard(client)
        if not self._holders and self._state.get("status") != "paused":
            self._release()

    def _release(self) -> None:
        try:
            self.running().resume()
        except ProaError:
            return  # it has ended meanwhile, or is another one by now

    def _thaw(self) -> None:
        if self._state.get("status") == "paused":
            self.running().resume()
            if self._health is not None:
                self._health.resume()
            self.note("unpause", later=True)
            self._record(status="running")
        elif self._holders:
            self._release()

    def _kill_now(self) -> None:
        self._kill_timer = None
        if self.container is not None:
            self.container.kill(9)
            self.note("kill", {"signal": "9"})

    def set_restart(self, policy: str, maximum: int) -> None:
        """Another restart policy from now on."""
        from proa.lean.record import replace

        self.job = replace(self.job, restart=policy, restart_maximum=maximum)
        if self._health is not None and self.container is not None:
            self._renew(self._health.status)

    def note_health(self, status: str) -> None:
        """The health check has found another state of the container."""
        self.note(f"health_status: {status}", later=True)
        self._record_late(health=status)
        self._renew(status)

    def _renew(self, status: str) -> None:
        """End a container that is not well, where its policy has it started again."""
        job = self.job
        if (
            status == "unhealthy"
            and job.restart == restart.ON_UNHEALTHY
            and restart.may_again(job.restart_maximum, self._restarts)
            and not (self.stopped or self._renewing)
        ):
            self._renewing = True
            self._end(job.stop_signal, job.stop_timeout)


def reap(pid: int) -> int:
    """The exit code of a child that has ended; 128 + N where signal N ended it."""
    _, status = posix.waitpid(pid, 0)
    if posix.WIFSIGNALED(status):
        return 128 + posix.WTERMSIG(status)
    return posix.WEXITSTATUS(status)


def _release_memory() -> None:
    from proa.kernel.memory import release

    release()


def _nothing() -> None:
    """Only wakes the loop."""
