"""The processes of a container, as the host's ps(1) shows them."""

from __future__ import annotations

import shlex
import subprocess

from proa.errors import Conflict, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.engine.container import Container
    from proa.engine.engine import Engine


def processes(
    engine: Engine, container: Container, arguments: str
) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of `ps` with `arguments`, those of the container's processes only.

    The columns must have the pid among them. Raises InvalidArgument, NotFound without ps(1).
    """
    from proa.runtime.container import Container as Running

    pids = {str(pid) for pid in Running.load(container.id, f"{engine.root}/run/oci").processes()}
    if not pids:
        raise Conflict(f"container {container.name} has no processes")
    words = shlex.split(arguments)
    # by itself ps shows what has its own user and terminal; some options (such as f) do not go
    # together with a selection by number, and mostly select all
    result = _ps([*words, f"-q{','.join(sorted(pids))}"])
    if result.returncode:
        result = _ps(words)
    if result.returncode:
        problem = result.stderr.strip().partition("\n")[0]
        raise InvalidArgument(f"ps {arguments}: {problem or 'it failed'}")
    lines = result.stdout.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidArgument(f"ps {arguments}: its output has no column PID; add -o pid")
    at = titles.index("PID")
    rows = [line.split(None, len(titles) - 1) for line in lines[1:]]
    return titles, [row for row in rows if len(row) > at and row[at] in pids]


def _ps(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotFound("the host has no ps command; install procps") from None
