"""A virtual machine with another kernel and this machine's files, to run commands in.

    python -m tests.support.guest COMMAND ARGUMENT…

Debian's kernel of its own release, in which control groups are of version 2, is booted by QEMU. Its
root file system is this machine's, read over virtiofs and covered by an overlay in memory: nothing
that happens in there reaches this machine. Without KVM it is some twenty times slower.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.installation import REPOSITORY

VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
_KERNEL = "linux-image-cloud-amd64"
"""The package that depends on the kernel of the release, with what virtual machines need."""
_CACHE = os.path.join(REPOSITORY, ".cache", "guest")
_DRIVERS = ("virtio_pci", "virtiofs", "overlay")
"""What it takes to mount the root file system; all others are loaded by the kernel as it needs
them."""
BEGIN = "guest: begin"
"""What the console shows before the command is executed."""
_EXIT = re.compile(r"^guest: exit (\d+)$", re.MULTILINE)


class Missing(Exception):
    """What a guest takes is not here; says what."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that was unpacked: its release, its file, and the root of its modules."""

    release: str
    image: str
    root: str


def fetch_kernel() -> Kernel:
    """Debian's kernel, fetched by apt-get and unpacked, not installed. Raises Missing."""
    found = _unpacked()
    if found is None:
        for program in ("apt-get", "apt-cache", "dpkg", "depmod"):
            if not shutil.which(program):
                raise Missing(f"there is no {program} to fetch a kernel with")
        os.makedirs(_CACHE, exist_ok=True)
        try:
            _fetch()
        except subprocess.CalledProcessError as error:
            told = (error.stderr or b"").decode(errors="replace").strip().splitlines()
            raise Missing(f"no kernel: {told[-1] if told else error}") from None
        found = _unpacked()
        if found is None:
            raise Missing(f"there is no kernel in {_KERNEL}")
    return found


def _unpacked() -> Kernel | None:
    for image in sorted(glob.glob(f"{glob.escape(_CACHE)}/root/boot/vmlinuz-*"), reverse=True):
        release = os.path.basename(image).removeprefix("vmlinuz-")
        return Kernel(release, image, f"{_CACHE}/root")
    return None


def _fetch() -> None:
    shown = subprocess.run(
        ["apt-cache", "depends", "--important", _KERNEL], check=True, capture_output=True
    )
    match = re.search(r"Depends: (linux-image-\S+)", shown.stdout.decode())
    if match is None:
        raise Missing(f"apt knows no package {_KERNEL}")
    with tempfile.TemporaryDirectory(dir=_CACHE) as work:
        subprocess.run(["apt-get", "download", match[1]], check=True, capture_output=True, cwd=work)
        tree = os.path.join(work, "root")
        (deb,) = glob.glob(f"{glob.escape(work)}/*.deb")
        subprocess.run(["dpkg", "-x", deb, tree], check=True, capture_output=True)
        (modules,) = glob.glob(f"{glob.escape(tree)}/lib/modules/*")
        release = os.path.basename(modules)
        subprocess.run(["depmod", "-b", tree, release], check=True, capture_output=True)
        os.rename(tree, os.path.join(_CACHE, "root"))


class Guest:
    """A guest that is running its command."""

    def __init__(
        self, machine: subprocess.Popen[bytes], files: subprocess.Popen[bytes], console: str
    ):
        self.processes = (machine.pid, files.pid)
        """of this machine, which are all that the guest takes of it"""
        self._machine = machine
        self._console = console

    def console(self) -> str:
        """All that was shown so far."""
        with open(self._console, "rb") as file:
            return file.read().decode(errors="replace").replace("\r\n", "\n")

    def wait(self, timeout: float) -> tuple[int, str]:
        """Wait for its end; the exit code of its command, and what that wrote.

        Raises TimeoutError, and RuntimeError where it ends without having run the command.
        """
        try:
            self._machine.wait(timeout)
        except subprocess.TimeoutExpired:
            last = self.console()[-2000:]
            raise TimeoutError(f"the guest has not ended in {timeout:g} seconds:\n{last}") from None
        shown = self.console()
        match = _EXIT.search(shown)
        if match is None:
            raise RuntimeError(f"the guest did not run its command:\n{shown[-4000:]}")
        return int(match[1]), shown[: match.start()].partition(f"{BEGIN}\n")[2]


@contextmanager
def booted(
    command: Sequence[str],
    *,
    directory: str = REPOSITORY,
    environment: Mapping[str, str] | None = None,
    memory: str = "3G",
) -> Iterator[Guest]:
    """Boot a guest that runs `command` as root in `directory`; it is gone at the end.

    Raises Missing where the machine cannot be made.
    """
    kernel = fetch_kernel()
    with tempfile.TemporaryDirectory(prefix="proa-guest-", dir="/tmp") as work:
        scripts = {"init": _first(kernel), "second": _second(command, directory, environment or {})}
        archive = os.path.join(work, "initramfs")
        with open(archive, "wb") as file:
            file.writelines(_initramfs(kernel, scripts))
        console = os.path.join(work, "console")
        with open(console, "wb"):
            pass  # it can be read from now on
        with _file_server(work) as (files, socket):
            machine = _start(kernel, archive, socket, memory, console)
            try:
                yield Guest(machine, files, console)
            finally:
                _end(machine)


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = 1200.0,
) -> tuple[int, str]:
    """Run `command` in a guest; its exit code, and what it wrote. Raises as `booted` and `wait`.

    `timeout`: seconds, the boot included.
    """
    with booted(command, environment=environment) as guest:
        return guest.wait(timeout)


def _program(name: str, *paths: str) -> str:
    for path in (*paths, shutil.which(name)):
        if path and os.path.exists(path):
            return path
    raise Missing(f"there is no {name}")


@contextmanager
def _file_server(work: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serves this machine's files: the process, and the path of its socket."""
    socket = os.path.join(work, "files.sock")
    log = os.path.join(work, "files.log")
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [
                _program("virtiofsd", *VIRTIOFSD),
                f"--socket-path={socket}",
                *("-o", "source=/", "-o", "cache=always", "-o", "sandbox=chroot"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        while not os.path.exists(socket):
            if process.poll() is not None:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise Missing(f"virtiofsd does not start: {file.read().strip()}")
            time.sleep(0.01)
        yield process, socket
    finally:
        _end(process)


def _start(
    kernel: Kernel, archive: str, socket: str, memory: str, console: str
) -> subprocess.Popen[bytes]:
    accelerator = "kvm" if has_kvm() else "tcg,thread=multi"
    arguments = [
        _program("qemu-system-x86_64"),
        *("-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", memory),
        *("-object", f"memory-backend-memfd,id=memory,size={memory},share=on"),
        *("-machine", "q35,memory-backend=memory", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-no-reboot", "-serial", f"file:{console}"),
        *("-chardev", f"socket,id=files,path={socket}"),
        *("-device", "vhost-user-fs-pci,chardev=files,tag=host,queue-size=1024"),
        *("-kernel", kernel.image, "-initrd", archive),
        *("-append", "console=ttyS0 quiet loglevel=1 panic=-1 cgroup_no_v1=all mitigations=off"),
    ]
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, process_group=0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and its children, if it has not ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def has_kvm() -> bool:
    """Whether this processor runs guests by itself; within another guest that often hangs."""
    if not os.access("/dev/kvm", os.W_OK):
        return False
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return "hypervisor" not in file.read()


def _first(kernel: Kernel) -> str:
    """What the guest's first process does until it has its root file system."""
    modules = "\n".join(f"insmod /modules/{os.path.basename(path)}" for path in _modules(kernel))
    return f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
{modules}
mount -t virtiofs host /host
mount -t tmpfs tmpfs /cover
mkdir /cover/upper /cover/work
mount -t overlay -o lowerdir=/host,upperdir=/cover/upper,workdir=/cover/work overlay /new
mount --move /dev /new/dev
mount --move /proc /new/proc
mount --move /sys /new/sys
mkdir -p /new/dev/pts /new/dev/shm /new/lib/modules
mount -t devpts -o ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs tmpfs /new/dev/shm
mount -t tmpfs tmpfs /new/run
mount -t tmpfs -o mode=1777 tmpfs /new/tmp
mount --bind /host{kernel.root}/lib/modules /new/lib/modules
mount -t cgroup2 cgroup2 /new/sys/fs/cgroup
for controller in $(cat /new/sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/new/sys/fs/cgroup/cgroup.subtree_control
done
ip link set lo up
cp /second /new/run/second
exec switch_root /new /bin/sh /run/second
"""


def _second(command: Sequence[str], directory: str, environment: Mapping[str, str]) -> str:
    """What it does on the root file system. It is the process whose root directory the kernel looks
    for modprobe in.
    """
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        **environment,
    }
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    return f"""echo {shlex.quote(BEGIN)}
(cd {shlex.quote(directory)} && exec env -i {exports} {shlex.join(command)})
echo "guest: exit $?"
echo o >/proc/sysrq-trigger
exec sleep 1000
"""


def _modules(kernel: Kernel) -> list[str]:
    """The files of the drivers and of what they need, in the order in which they are loaded."""
    found: dict[str, None] = {}
    for name in _DRIVERS:
        shown = subprocess.run(
            ["modprobe", "-S", kernel.release, "-d", kernel.root, "--show-depends", name],
            check=True,
            capture_output=True,
            text=True,
        )
        for line in shown.stdout.splitlines():
            kind, _, path = line.strip().partition(" ")
            if kind == "insmod":
                found[path.strip()] = None
    return list(found)


def _initramfs(kernel: Kernel, scripts: Mapping[str, str]) -> Iterator[bytes]:
    """An archive that the kernel unpacks as its first root: cpio(5), the format `newc`."""
    for name in ("bin", "dev", "proc", "sys", "host", "cover", "new", "modules"):
        yield from _member(name, 0o040755, ())
    with open(_program("busybox"), "rb") as file:
        yield from _member("bin/busybox", 0o100755, (file.read(),))
    for path in _modules(kernel):
        with open(path, "rb") as file:
            yield from _member(f"modules/{os.path.basename(path)}", 0o100644, (file.read(),))
    for name, script in scripts.items():
        yield from _member(name, 0o100755, (script.encode(),))
    yield from _member("TRAILER!!!", 0, ())


def _member(name: str, mode: int, content: Iterable[bytes]) -> Iterator[bytes]:
    data = b"".join(content)
    path = name.encode() + b"\0"
    links = 2 if mode & 0o040000 else 1
    fields = (0, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    yield header + bytes(-len(header) % 4)
    yield data + bytes(-len(data) % 4)


def main() -> None:
    """Run the command of `sys.argv` in a guest, show its output, end with its exit code."""
    try:
        code, shown = run(sys.argv[1:], timeout=7200.0)
    except (Missing, RuntimeError, TimeoutError) as error:
        sys.exit(f"{error}")
    print(shown)
    sys.exit(code)


if __name__ == "__main__":
    main()
