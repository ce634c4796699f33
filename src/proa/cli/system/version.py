"""`version`."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import BadTemplate
from proa.cli.output import write
from proa.engine.info import API_VERSION, version, versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values


def short_version() -> str:
    """What `proa --version` prints."""
    return f"proa version {version()}"


def show(known: dict[str, Any], template: str) -> str:
    """`known` as JSON, or by a template. Raises BadTemplate."""
    from proa.cli.template import TemplateError, parse
    from proa.cli.template.values import to_json

    if template == "json":
        return to_json(known) + "\n"
    try:
        return parse(template).render(known) + "\n"
    except TemplateError as error:
        raise BadTemplate(str(error)) from None


def facts() -> dict[str, Any]:
    """Versions in the shape of `docker version`; client and engine are one program."""
    from proa.cli.template import Fields

    engine = versions()
    names = ("Version", "ApiVersion", "GitCommit", "GoVersion", "Os", "Arch", "BuildTime")
    more = ("PythonVersion", "Implementation")
    client = Fields(
        {
            "Platform": engine["Platform"],
            **{name: engine[name] for name in (*names, *more)},
            "DefaultAPIVersion": API_VERSION,
            "Context": "default",
        }
    )
    server = Fields({**engine, "Experimental": False})
    for part in (client, server):
        # Go's name of the field, and that in its JSON, differ
        part.absent = {"APIVersion": API_VERSION}
    return {"Client": client, "Server": server}


def _version(_session: Session, values: Values, _arguments: list[str]) -> int:
    known = facts()
    if template := values.text("format"):
        write(show(known, template))
        return 0
    client, server = known["Client"], known["Server"]
    python = f"{client['PythonVersion']} ({client['Implementation']})"
    lines = [
        "Client:",
        *_lines(
            1,
            ("Version", client["Version"]),
            ("API version", client["ApiVersion"]),
            ("Python version", python),
            ("OS/Arch", f"{client['Os']}/{client['Arch']}"),
            ("Context", client["Context"]),
        ),
        "",
        f"Server: {server['Platform']['Name']}",
        " Engine:",
        *_lines(
            2,
            ("Version", server["Version"]),
            ("API version", f"{server['ApiVersion']} (minimum version {server['MinAPIVersion']})"),
            ("Python version", python),
            ("OS/Arch", f"{server['Os']}/{server['Arch']}"),
            ("Kernel version", server["KernelVersion"]),
            ("Experimental", "false"),
        ),
    ]
    for component in server["Components"][1:]:
        lines += [f" {component['Name']}:", *_lines(2, ("Version", component["Version"]))]
    write("\n".join(lines) + "\n")
    return 0


def _lines(indent: int, *pairs: tuple[str, str]) -> list[str]:
    return [f"{' ' * indent}{label + ':':<18}{value}" for label, value in pairs]


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show the versions of proa, Python and the kernel",
    run=_version,
    flags=(("format", "f", "string", "Show it as 'json' or by a Go TEMPLATE"),),
    maximum=0,
)
