"""`version`."""

from __future__ import annotations

import platform
import sys

from proa.cli.command import Command
from proa.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}


def version() -> str:
    """The version of this package."""
    from importlib import metadata

    try:
        return metadata.version("proa")
    except metadata.PackageNotFoundError:
        return "unknown (run from its source)"


def short_version() -> str:
    """What `proa --version` prints."""
    return f"proa version {version()}"


def architecture() -> str:
    """The machine, as Go and images name it."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def facts() -> dict[str, Any]:
    """Versions in the shape of `docker version`; client and engine are one program."""
    common = {
        "Version": version(),
        "PythonVersion": platform.python_version(),
        "Implementation": sys.implementation.name,
        "Os": "linux",
        "Arch": architecture(),
    }
    return {"Client": common, "Server": {**common, "KernelVersion": platform.release()}}


def _version(_session: Session, values: Values, _arguments: list[str]) -> int:
    known = facts()
    template = values.text("format")
    if template:
        from proa.cli.template import parse
        from proa.cli.template.values import to_json

        text = to_json(known) if template == "json" else parse(template).render(known)
        write(text + "\n")
        return 0
    parts = []
    for title, values_of in (("Client", known["Client"]), ("Engine", known["Server"])):
        lines = [
            ("Version:", values_of["Version"]),
            ("Python version:", f"{values_of['PythonVersion']} ({values_of['Implementation']})"),
            ("OS/Arch:", f"{values_of['Os']}/{values_of['Arch']}"),
        ]
        if "KernelVersion" in values_of:
            lines.append(("Kernel version:", values_of["KernelVersion"]))
        parts.append(f"{title}:\n" + "".join(f" {label:<18} {value}\n" for label, value in lines))
    write("\n".join(parts))
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show the versions of proa, Python and the kernel",
    run=_version,
    flags=(("format", "f", "string", "Show it as 'json' or by a Go TEMPLATE"),),
    maximum=0,
)
