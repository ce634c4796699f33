"""Bundles for an OCI runtime, and the runtime as a command."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from typing import Any

from tests.support import images, processes

SPEC: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {
            name: ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]
            for name in ("bounding", "effective", "permitted")
        },
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        },
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys", "/proc/irq"],
    },
}


class Bundle:
    """A directory with a root file system of busybox and a spec to change."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.rootfs = os.path.join(directory, "rootfs")
        os.makedirs(self.rootfs)
        with tarfile.open(fileobj=io.BytesIO(images.busybox_layer())) as archive:
            archive.extractall(self.rootfs)
        self.spec = copy.deepcopy(SPEC)

    @property
    def process(self) -> dict[str, Any]:
        return self.spec["process"]

    @property
    def linux(self) -> dict[str, Any]:
        return self.spec["linux"]

    def shell(self, script: str) -> None:
        """Execute a shell script."""
        self.process["args"] = ["sh", "-c", script]

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Have a namespace of that kind, in the place of another of it."""
        kept = [entry for entry in self.linux["namespaces"] if entry["type"] != kind]
        self.linux["namespaces"] = [*kept, {"type": kind, **({"path": path} if path else {})}]

    def without(self, kind: str) -> None:
        """Have the host's namespace of that kind."""
        self.linux["namespaces"] = [
            entry for entry in self.linux["namespaces"] if entry["type"] != kind
        ]

    def mount(self, destination: str, kind: str, source: str, *options: str, **more: Any) -> None:
        self.spec["mounts"].append(
            {
                "destination": destination,
                "type": kind,
                "source": source,
                "options": list(options),
                **more,
            }
        )

    def save(self) -> None:
        with open(os.path.join(self.directory, "config.json"), "w") as file:
            json.dump(self.spec, file)


class Runtime:
    """A runtime's command with a state directory of its own."""

    def __init__(self, path: str, name: str, root: str) -> None:
        self.path = path
        self.name = name
        self.root = root
        self.made: list[str] = []

    def __call__(
        self, *arguments: str, code: int | None = 0, input: str | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [self.path, "--root", self.root, *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            **options,
        )
        if code is not None and result.returncode != code:
            raise AssertionError(
                f"{self.name} {' '.join(arguments)} ended with {result.returncode}, not {code}\n"
                f"stdout: {result.stdout}\nstderr: {result.stderr}"
            )
        return result

    def run(self, bundle: Bundle, id: str = "box", *options: str, code: int | None = 0) -> str:
        """Run the bundle in the foreground; what it printed."""
        bundle.save()
        self.made.append(id)
        return self("run", "--bundle", bundle.directory, *options, id, code=code).stdout

    def refuse(self, bundle: Bundle, id: str = "box", *options: str) -> str:
        """Run the bundle, which must fail; what was said."""
        bundle.save()
        self.made.append(id)
        result = self("run", "--bundle", bundle.directory, *options, id, code=None)
        assert result.returncode != 0, result.stdout
        return result.stderr

    def create(self, bundle: Bundle, id: str = "box", *options: str) -> None:
        bundle.save()
        self.made.append(id)
        # a container that waits keeps our descriptors open: not a pipe, which we would wait for
        with open(os.path.join(bundle.directory, f"output-{id}"), "wb") as output:
            subprocess.run(
                [
                    *(self.path, "--root", self.root),
                    *("create", "--bundle", bundle.directory, *options, id),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=30,
                check=True,
            )

    def start_detached(self, bundle: Bundle, id: str = "box") -> None:
        self.create(bundle, id)
        self("start", id)

    def output(self, bundle: Bundle, id: str = "box") -> str:
        with open(os.path.join(bundle.directory, f"output-{id}")) as file:
            return file.read()

    def state(self, id: str = "box") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("state", id).stdout)
        return found

    def wait_for(self, status: str, id: str = "box") -> None:
        deadline = time.monotonic() + 10
        while self.state(id)["status"] != status:
            assert time.monotonic() < deadline, self.state(id)
            time.sleep(0.02)

    def _remove_cgroups(self, id: str) -> None:
        """What runc 1.1 leaves of a container that had more than one process."""
        time.sleep(0.05)
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            if id in names:
                os.rmdir(os.path.join(directory, id))

    def clean(self) -> None:
        for id in self.made:
            processes.run_as_init_would([self.path, "--root", self.root, "delete", "--force", id])
            if self.name == "runc":
                self._remove_cgroups(id)
        shutil.rmtree(self.root, ignore_errors=True)
