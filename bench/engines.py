"""proa, docker and podman as contestants: the same commands with different prefixes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time

from bench import spawn
from bench.peers import Programs


class Engine:
    """A container engine with a directory of its own, driven by its command."""

    name = ""

    def __init__(self, programs: Programs, scratch: str) -> None:
        self.env = programs.environment()
        self.directory = ""
        self.scratch = scratch
        """A short path on a tmpfs, for sockets and logs."""

    def start(self, directory: str) -> None:
        """Use the empty directory for images and containers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop what `start` started, leaving no mount in its directory."""

    def argv(self, *arguments: str) -> list[str]:
        """The command line for these arguments."""
        raise NotImplementedError

    def version(self) -> str:
        """The version as the command prints it."""
        raise NotImplementedError

    def timed(self, *arguments: str) -> float:
        """Run the command; milliseconds."""
        return spawn.timed(self.argv(*arguments), self.env, f"{self.scratch}/{self.name}.log")

    def output(self, *arguments: str) -> str:
        """What the command prints."""
        return spawn.output(self.argv(*arguments), self.env)

    def remove(self, *containers: str) -> None:
        """Remove containers, running or not."""
        self.output("rm", "--force", *containers)

    def first_process(self, container: str) -> int:
        """The pid of a running container's first process."""
        return int(self.output("inspect", "--format", "{{.State.Pid}}", container))

    def keeper(self, container: str) -> int:
        """The process that stays beside a running container: its first process's parent."""
        with open(
            f"/proc/{self.first_process(container)}/stat", encoding="utf-8", errors="replace"
        ) as file:
            return int(file.read().rpartition(")")[2].split()[1])


class Docker(Engine):
    """dockerd on a socket, a data directory and a network namespace of its own."""

    name = "docker"

    def __init__(self, programs: Programs, scratch: str) -> None:
        super().__init__(programs, scratch)
        self.client = _needed(programs, "docker")
        self.daemon = _needed(programs, "dockerd")
        self.env["DOCKER_CONFIG"] = f"{scratch}/docker-config"
        self.socket = f"unix://{scratch}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None
        os.makedirs(self.env["DOCKER_CONFIG"], exist_ok=True)
        with open(f"{scratch}/daemon.json", "w", encoding="ascii") as file:
            file.write("{}")

    def start(self, directory: str) -> None:
        log = open(f"{self.scratch}/dockerd.log", "ab")
        with log:
            self.process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL"),
                    self.daemon,
                    f"--config-file={self.scratch}/daemon.json",
                    f"--host={self.socket}",
                    f"--data-root={directory}/docker",
                    f"--exec-root={self.scratch}/docker",
                    f"--pidfile={self.scratch}/docker.pid",
                    "--storage-driver=overlay2",
                    "--exec-opt=native.cgroupdriver=cgroupfs",
                    "--log-level=warn",
                ],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.version()
                return
            except spawn.Failed as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    with open(f"{self.scratch}/dockerd.log", encoding="utf-8") as file:
                        told = file.read().strip()[-500:]
                    raise spawn.Failed(f"dockerd does not answer: {told or error}") from None
                time.sleep(0.1)

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def argv(self, *arguments: str) -> list[str]:
        return [self.client, "--host", self.socket, *arguments]

    def version(self) -> str:
        return self.output("version", "--format", "{{.Client.Version}}, {{.Server.Version}}")


class Podman(Engine):
    """podman with its own storage."""

    name = "podman"

    def __init__(self, programs: Programs, scratch: str) -> None:
        super().__init__(programs, scratch)
        self.client = _needed(programs, "podman")
        self.runtime = _needed(programs, "crun")
        self.conmon = _needed(programs, "conmon")
        # podman raises limits, and fails where it may not; docker and proa go on without
        self.run_options: tuple[str, ...] = () if _may_raise_limits() else _present_limits()

    def start(self, directory: str) -> None:
        self.directory = directory

    def argv(self, *arguments: str) -> list[str]:
        return [
            self.client,
            f"--root={self.directory}/podman",
            f"--runroot={self.scratch}/podman",
            f"--tmpdir={self.scratch}/podman-tmp",
            "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            f"--runtime={self.runtime}",
            f"--conmon={self.conmon}",
            *arguments[:1],
            *(self.run_options if arguments[:1] == ("run",) else ()),
            *arguments[1:],
        ]

    def version(self) -> str:
        return spawn.output([self.client, "--version"], self.env).rpartition(" ")[2]

    def remove(self, *containers: str) -> None:
        # podman would ask each of them politely, and wait ten seconds
        super().remove("--time", "0", *containers)


class Proa(Engine):
    """proa as it is installed."""

    name = "proa"

    def __init__(self, programs: Programs, scratch: str, launcher: str) -> None:
        super().__init__(programs, scratch)
        self.launcher = launcher

    def start(self, directory: str) -> None:
        self.directory = os.path.join(directory, "proa")
        os.mkdir(self.directory, 0o700)

    def argv(self, *arguments: str) -> list[str]:
        return [self.launcher, "--root", self.directory, *arguments]

    def version(self) -> str:
        return spawn.output([self.launcher, "--version"], self.env).rpartition(" ")[2]


def _may_raise_limits() -> bool:
    """Whether this process has CAP_SYS_RESOURCE (bit 24, capabilities(7))."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(line for line in file if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> 24 & 1)


def _present_limits() -> tuple[str, ...]:
    """Limits that need no raising; podman lowers its own before it sets the container's."""
    limits = (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
    hard = {name: resource.getrlimit(kind)[1] for name, kind in limits}
    return tuple(
        f"--ulimit={name}={min(limit, 16384)}:{min(limit, 16384)}"
        for name, limit in hard.items()
        if limit != resource.RLIM_INFINITY
    )


def _needed(programs: Programs, name: str) -> str:
    path = programs.find(name)
    if path is None:
        raise spawn.Failed(f"there is no program {name}")
    return path
