"""`info`: the engine and its machine."""

from __future__ import annotations

import os
import platform

from proa.cli.command import Command
from proa.cli.output import write
from proa.cli.system.version import version
from proa.cli.units import binary_size
from proa.engine.cdi.registry import DIRECTORIES, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values


def _info(session: Session, values: Values, _arguments: list[str]) -> int:
    known = facts(session)
    template = values.text("format")
    if template:
        from proa.cli.template import parse
        from proa.cli.template.values import to_json

        text = to_json(known) if template == "json" else parse(template).render(known)
        write(text + "\n")
        return 0
    write(_text(known))
    return 0


def facts(session: Session) -> dict[str, Any]:
    """What is known, in the shape of `docker info`."""
    engine = session.engine
    containers = engine.containers.summaries(all=True)
    running = sum(item.state in ("running", "restarting") for item in containers)
    paused = sum(item.state == "paused" for item in containers)
    return {
        "Containers": len(containers),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": len(containers) - running - paused,
        "Images": len(engine.images.list()),
        "ServerVersion": version(),
        "DockerRootDir": engine.root,
        "LoggingDriver": "json-file",
        "CgroupVersion": "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1",
        "CgroupDriver": "cgroupfs",
        "DefaultRuntime": "proa-runtime",
        "KernelVersion": platform.release(),
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": platform.node(),
        "Rootless": os.geteuid() != 0,
        "CDISpecDirs": list(DIRECTORIES),
        "DiscoveredDevices": [{"Source": "cdi", "ID": name} for name in sorted(load().devices)],
    }


def _text(known: dict[str, Any]) -> str:
    lines = [
        ("Containers", known["Containers"]),
        (" Running", known["ContainersRunning"]),
        (" Paused", known["ContainersPaused"]),
        (" Stopped", known["ContainersStopped"]),
        ("Images", known["Images"]),
        ("Version", known["ServerVersion"]),
        ("Logging Driver", known["LoggingDriver"]),
        ("Cgroup Driver", known["CgroupDriver"]),
        ("Cgroup Version", known["CgroupVersion"]),
        ("Default Runtime", known["DefaultRuntime"]),
        ("Kernel Version", known["KernelVersion"]),
        ("Operating System", known["OperatingSystem"]),
        ("OSType", known["OSType"]),
        ("Architecture", known["Architecture"]),
        ("CPUs", known["NCPU"]),
        ("Total Memory", binary_size(known["MemTotal"])),
        ("Name", known["Name"]),
        ("Root Dir", known["DockerRootDir"]),
        ("CDI spec directories", ", ".join(known["CDISpecDirs"])),
        ("CDI devices", ", ".join(device["ID"] for device in known["DiscoveredDevices"]) or "none"),
        ("Rootless", "true" if known["Rootless"] else "false"),
    ]
    return "Engine:\n" + "".join(f" {label}: {value}\n" for label, value in lines)


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show what the engine has, and what machine it is on",
    run=_info,
    flags=(("format", "f", "string", "Show it as 'json' or by a Go TEMPLATE"),),
    maximum=0,
)
