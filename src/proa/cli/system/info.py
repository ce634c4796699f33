"""`info`: the engine and its machine."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import warn, write
from proa.cli.system.version import show
from proa.cli.units import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values


def _info(session: Session, values: Values, _arguments: list[str]) -> int:
    known = session.engine.info()
    # docker's command says this of itself; here it is the engine that is asked
    known["ClientInfo"] = {
        "Debug": session.debug,
        "Version": known["ServerVersion"],
        "Context": "default",
        "Plugins": [],
        "Warnings": None,
    }
    template = values.text("format")
    if template:
        write(show(known, template))
        return 0
    write(_text(known))
    for text in known["Warnings"]:
        warn(text)
    return 0


def _text(known: dict[str, Any]) -> str:
    client, plugins = known["ClientInfo"], known["Plugins"]
    lines = [
        "Client:",
        f" Version:    {client['Version']}",
        f" Context:    {client['Context']}",
        f" Debug Mode: {_word(client['Debug'])}",
        "",
        "Server:",
        f" Containers: {known['Containers']}",
        f"  Running: {known['ContainersRunning']}",
        f"  Paused: {known['ContainersPaused']}",
        f"  Stopped: {known['ContainersStopped']}",
        f" Images: {known['Images']}",
        f" Server Version: {known['ServerVersion']}",
        f" Storage Driver: {known['Driver']}",
        *(f"  {name}: {value}" for name, value in known["DriverStatus"]),
        f" Logging Driver: {known['LoggingDriver']}",
        f" Cgroup Driver: {known['CgroupDriver']}",
        f" Cgroup Version: {known['CgroupVersion']}",
        " Plugins:",
        f"  Volume: {' '.join(plugins['Volume'])}",
        f"  Network: {' '.join(plugins['Network'])}",
        f"  Log: {' '.join(plugins['Log'])}",
        f" CDI spec directories: {', '.join(known['CDISpecDirs'])}",
        " CDI devices: "
        + (", ".join(device["ID"] for device in known["DiscoveredDevices"]) or "none"),
        f" Swarm: {known['Swarm']['LocalNodeState']}",
        f" Runtimes: {' '.join(known['Runtimes'])}",
        f" Default Runtime: {known['DefaultRuntime']}",
        f" Init Binary: {known['InitBinary'] or 'none'}",
        " Security Options:",
        *_security(known["SecurityOptions"]),
        f" Kernel Version: {known['KernelVersion']}",
        f" Operating System: {known['OperatingSystem']}",
        f" OSType: {known['OSType']}",
        f" Architecture: {known['Architecture']}",
        f" CPUs: {known['NCPU']}",
        f" Total Memory: {binary_size(known['MemTotal'])}",
        f" Name: {known['Name']}",
        f" ID: {known['ID']}",
        f" Docker Root Dir: {known['DockerRootDir']}",
        f" Debug Mode: {_word(known['Debug'])}",
    ]
    for title, key in (
        ("HTTP Proxy", "HttpProxy"),
        ("HTTPS Proxy", "HttpsProxy"),
        ("No Proxy", "NoProxy"),
    ):
        if known[key]:
            lines.append(f" {title}: {known[key]}")
    lines += [
        f" Experimental: {_word(known['ExperimentalBuild'])}",
        f" Live Restore Enabled: {_word(known['LiveRestoreEnabled'])}",
    ]
    return "\n".join(lines) + "\n"


def _security(options: list[str]) -> list[str]:
    """`name=seccomp,profile=builtin` as a name, and its settings below it."""
    lines = []
    for option in options:
        pairs = [part.partition("=")[::2] for part in option.split(",")]
        lines += [f"  {value}" for name, value in pairs if name == "name"]
        lines += [f"   {name.capitalize()}: {value}" for name, value in pairs if name != "name"]
    return lines


def _word(value: bool) -> str:
    return "true" if value else "false"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show what the engine has and can do, and what machine it is on",
    run=_info,
    flags=(("format", "f", "string", "Show it as 'json' or by a Go TEMPLATE"),),
    maximum=0,
)
