"""`state`, `list`, `ps`."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, KernelError
from proa.lean import json
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.session import write
from proa.runtime.container import list_containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from proa.runtime.cli.session import Session
    from proa.runtime.container import Container


def state(session: Session, arguments: Sequence[str]) -> int:
    """Print the state of a container as JSON."""
    options = parse({}, arguments, what="state")
    if len(options.rest) != 1:
        raise InvalidArgument("state takes the id of one container")
    write(f"{_indented(_describe(session.load(options.rest[0])))}\n")
    return 0


def list(session: Session, arguments: Sequence[str]) -> int:
    """Print all containers."""
    options = parse({"format": "value,f", "quiet": "bool,q"}, arguments, what="list")
    containers = list_containers(session.root)
    if options.flag("quiet"):
        write("".join(f"{container.id}\n" for container in containers))
        return 0
    found = [_describe(container) for container in containers]
    if _format(options.text("format", "table")) == "json":
        write(f"{json.dumps(found)}\n")
        return 0
    rows: Sequence[tuple[str, ...]] = [
        ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"),
        *(
            tuple(str(item[key]) for key in ("id", "pid", "status", "bundle", "created", "owner"))
            for item in found
        ),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        write(f"{line.rstrip()}\n")
    return 0


def ps(session: Session, arguments: Sequence[str]) -> int:
    """Print the processes of a container."""
    options = parse({"format": "value,f"}, arguments, what="ps")
    if not options.rest:
        raise InvalidArgument("ps takes the id of a container")
    pids = session.load(options.rest[0]).processes()
    if _format(options.text("format", "table")) == "json":
        write(f"{json.dumps(pids)}\n")
        return 0
    lines = _host_ps(options.rest[1:] or ["-ef"])
    titles = lines[0].split()
    if "PID" not in titles:
        raise InvalidArgument("ps: the output of ps has no column PID with these options")
    column = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    write(f"{lines[0]}\n")
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > column and fields[column] in wanted:
            write(f"{line}\n")
    return 0


def _host_ps(options: Sequence[str]) -> Sequence[str]:
    reader, writer = posix.pipe2(posix.O_CLOEXEC)
    try:
        pid = posix.posix_spawnp(
            "ps",
            ["ps", *options],
            posix.environ,
            file_actions=[(posix.POSIX_SPAWN_DUP2, writer, 1)],
        )
    except OSError as error:
        raise KernelError(f"cannot execute ps: {(error.strerror or '').lower()}") from None
    posix.close(writer)
    data = b""
    while part := posix.read(reader, 1 << 16):
        data += part
    posix.close(reader)
    if posix.waitpid(pid, 0)[1] or not data:
        raise InvalidArgument(f"ps {' '.join(options)} failed")
    return data.decode("utf-8", "replace").splitlines()


def _describe(container: Container) -> dict[str, Any]:
    found = container.state()
    root = str((container.spec.get("root") or {}).get("path") or "")
    if root and not root.startswith("/"):
        root = f"{container.bundle}/{root}"
    return {**found, "rootfs": root, "created": container.created, "owner": container.owner}


def _format(text: str) -> str:
    if text not in ("table", "json"):
        raise InvalidArgument(f"--format is table or json, not {text}")
    return text


def _indented(value: dict[str, Any]) -> str:
    import json as standard

    return standard.dumps(value, indent=2)
