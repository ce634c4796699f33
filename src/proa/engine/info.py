"""What an engine is, has and can do, and what machine it is on: `info` and `version`."""

from __future__ import annotations

import os
import platform
import sys
import uuid
from typing import TYPE_CHECKING

from proa.engine.rootless import is_rootless
from proa.errors import InvalidArgument, ProaError
from proa.kernel.cgroup import discover
from proa.lean import clock

if TYPE_CHECKING:
    from typing import Any

    from proa.engine.engine import Engine
    from proa.kernel.cgroup import Mountpoints

API_VERSION = "1.50"
"""The version of Docker's API whose forms the library and the command give."""
MINIMUM_API_VERSION = "1.24"
RUNTIME = "proa-runtime"
_OTHER_RUNTIMES = ("runc", "crun", "youki", "runsc", "kata-runtime")
_NETWORKS = ("bridge", "host", "ipvlan", "macvlan", "null")
_MACHINES = {
    "x86_64": "amd64",
    "i386": "386",
    "i486": "386",
    "i586": "386",
    "i686": "386",
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "loongarch64": "loong64",
    "mips64el": "mips64le",
}
_NAMESPACE = uuid.UUID("6f2f9c1e-52a4-4d0e-9b53-3f1f5f1b6c10")


def version() -> str:
    """The version of this package."""
    from importlib import metadata

    try:
        return metadata.version("proa")
    except metadata.PackageNotFoundError:
        from proa import __version__

        return __version__


def architecture() -> str:
    """The machine, as Go and images name it."""
    machine = platform.machine()
    return _MACHINES.get(machine, machine)


def versions() -> dict[str, Any]:
    """In the form of Docker's API (SystemVersion)."""
    common = {
        "Version": version(),
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MINIMUM_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": platform.release(),
        "BuildTime": "",
        "PythonVersion": platform.python_version(),
        "Implementation": sys.implementation.name,
    }
    return {
        "Platform": {"Name": "proa"},
        "Components": [
            {
                "Name": "Engine",
                "Version": common["Version"],
                "Details": {
                    "ApiVersion": API_VERSION,
                    "Arch": common["Arch"],
                    "Experimental": "false",
                    "KernelVersion": common["KernelVersion"],
                    "MinAPIVersion": MINIMUM_API_VERSION,
                    "Os": "linux",
                    "PythonVersion": common["PythonVersion"],
                },
            },
            {"Name": RUNTIME, "Version": common["Version"], "Details": {}},
            {"Name": "SQLite", "Version": _sqlite(), "Details": {}},
        ],
        **common,
    }


def facts(engine: Engine) -> dict[str, Any]:
    """In the form of Docker's API (SystemInfo)."""
    containers = engine.containers.summaries(all=True)
    running = sum(item.state in ("running", "restarting") for item in containers)
    paused = sum(item.state == "paused" for item in containers)
    where = discover()
    controllers = _controllers(where)
    limits = {
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": _has_swap_limit(where),
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
    }
    forwarding = _first_line("/proc/sys/net/ipv4/ip_forward") == "1"
    system = _system()
    return {
        "ID": str(uuid.uuid5(_NAMESPACE, f"{_first_line('/etc/machine-id')} {engine.root}")),
        "Containers": len(containers),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(containers) - running - paused,
        "Images": len(engine.images.list()),
        "Driver": _driver(engine),
        "DriverStatus": [["Backing Filesystem", _file_system(engine.root)]],
        "DockerRootDir": engine.root,
        "Plugins": {
            "Volume": ["local"],
            "Network": list(_NETWORKS),
            "Authorization": None,
            "Log": _log_drivers(),
        },
        **limits,
        "OomKillDisable": bool(where.version_1),
        "IPv4Forwarding": forwarding,
        "Debug": False,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": 0,
        "SystemTime": clock.now(),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "1" if where.version_1 else "2",
        "NEventsListener": 0,
        "KernelVersion": platform.release(),
        "OperatingSystem": system.get("PRETTY_NAME", "Linux"),
        "OSVersion": system.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": []},
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "HttpProxy": os.environ.get("HTTP_PROXY") or os.environ.get("http_proxy") or "",
        "HttpsProxy": os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or "",
        "NoProxy": os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "",
        "Name": platform.node(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": version(),
        "Runtimes": _runtimes(),
        "DefaultRuntime": RUNTIME,
        "Swarm": {"LocalNodeState": "inactive", "ControlAvailable": False, "Error": ""},
        # nothing has to be restored: no process is between containers and their engine
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": _init(),
        "SecurityOptions": _security(),
        "Rootless": is_rootless(),
        "CDISpecDirs": _cdi_directories(),
        "DiscoveredDevices": _cdi_devices(),
        "Warnings": _warnings(limits, forwarding),
    }


def _sqlite() -> str:
    import sqlite3

    return sqlite3.sqlite_version


def _controllers(where: Mountpoints) -> set[str]:
    if where.version_1:
        return set(where.version_1)
    if where.version_2 is None:
        return set()
    # what is delegated to this user is what counts
    return set(_first_line(f"{where.directory_v2('')}/cgroup.controllers").split()) or set(
        _first_line(f"{where.version_2}/cgroup.controllers").split()
    )


def _has_swap_limit(where: Mountpoints) -> bool:
    if "memory" in where.version_1:
        return os.path.exists(f"{where.directory_v1('memory', '/')}/memory.memsw.limit_in_bytes")
    return "memory" in _controllers(where)


def _driver(engine: Engine) -> str:
    from proa.engine.rootless import snapshots

    try:
        return snapshots(engine.root).kind
    except (ProaError, OSError):
        return "none"


def _file_system(path: str) -> str:
    """The type of the file system at `path`, by the mount that is nearest above it."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            if fields[2] == wanted:
                return fields[fields.index("-") + 1]
    return "unknown"


def _log_drivers() -> list[str]:
    from proa.monitor.drivers.options import DRIVERS

    return sorted(DRIVERS)


def _runtimes() -> dict[str, dict[str, Any]]:
    from proa.monitor.foreign import find_runtime

    found: dict[str, dict[str, Any]] = {RUNTIME: {"path": RUNTIME}}
    for name in _OTHER_RUNTIMES:
        try:
            path = find_runtime(name)
        except InvalidArgument:
            continue
        if path is not None:
            found[name] = {"path": path}
    return found


def _init() -> str:
    from proa.engine.mounts import init_program

    return init_program() or ""


def _security() -> list[str]:
    found = ["name=seccomp,profile=builtin", "name=cgroupns"]
    if os.path.exists("/sys/kernel/security/apparmor"):
        found.insert(0, "name=apparmor")
    if is_rootless():
        found.append("name=rootless")
    return found


def _cdi_directories() -> list[str]:
    from proa.engine.cdi.registry import DIRECTORIES

    return list(DIRECTORIES)


def _cdi_devices() -> list[dict[str, str]]:
    from proa.engine.cdi.registry import load

    return [{"Source": "cdi", "ID": name} for name in sorted(load().devices)]


def _warnings(limits: dict[str, bool], forwarding: bool) -> list[str]:
    names = {
        "MemoryLimit": "memory limit",
        "SwapLimit": "swap limit",
        "CpuCfsQuota": "cpu cfs quota",
        "CPUShares": "cpu shares",
        "CPUSet": "cpuset",
        "PidsLimit": "pids limit",
    }
    found = [f"WARNING: No {text} support" for key, text in names.items() if not limits[key]]
    if not forwarding:
        found.append("WARNING: IPv4 forwarding is disabled")
    return found


def _system() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""
