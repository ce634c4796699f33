"""The graph of a build: vertices with operations, and edges to what they need. Data only.

A vertex is known by its operation and its inputs: adding the same again gives the same vertex.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.lean.record import record

if TYPE_CHECKING:
    from proa.build.dockerfile.heredoc import Heredoc
    from proa.build.dockerfile.source import Span

NOTHING = -1
"""The input that is no vertex: an empty file system."""


@record
class ImageOp:
    """An image of the store, as it is."""

    id: str
    layers: tuple[str, ...]
    """diff IDs, base first"""


@record
class ContextOp:
    """Files from outside: the build context, or a further one by its name."""

    name: str = ""


@record
class FetchOp:
    """Fetch a file or a git repository from elsewhere."""

    url: str
    checksum: str = ""
    keep_git_dir: bool = False


@record
class RunMount:
    """A mount of a RUN. Its source is the RUN's input of the number `input`, if it has one."""

    kind: str
    target: str
    source: str = ""
    """a path in the source"""
    input: int = 0
    """among the RUN's inputs; 0, its own file system, stands for none"""
    read_only: bool = False
    id: str = ""
    sharing: str = "shared"
    size: int = 0
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    variable: str = ""


@record
class RunOp:
    """Execute a command. Inputs: the file system, then sources of mounts."""

    arguments: tuple[str, ...]
    environment: tuple[str, ...]
    """KEY=VALUE"""
    working_dir: str
    user: str
    network: str = "default"
    security: str = "sandbox"
    mounts: tuple[RunMount, ...] = ()
    script: tuple[str, str] | None = None
    """(name, content) of a program to be found at /dev/pipes/NAME"""
    hosts: tuple[str, ...] = ()
    """NAME:ADDRESS"""


@record
class CopyOp:
    """Copy files. Inputs: the file system, where the files come from, what was fetched."""

    sources: tuple[str, ...]
    destination: str
    """absolute; a slash at its end says that it is a directory"""
    heredocs: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()
    add: bool = False
    """it is ADD: archives are unpacked, URLs fetched"""
    unpack: bool | None = None


@record
class DirectoryOp:
    """Make a directory where there is none. Input: the file system."""

    path: str
    user: str = ""


Op = ImageOp | ContextOp | FetchOp | RunOp | CopyOp | DirectoryOp


@record
class Vertex:
    """An operation in its place."""

    number: int
    op: Op
    inputs: tuple[int, ...]
    name: str
    """as people see it: `[build 2/5] RUN make`"""
    stage: str = ""
    text: str = ""
    """the instruction"""
    span: Span | None = None
    """its lines in the Dockerfile"""
    no_cache: bool = False


class Graph:
    """Vertices, each after those that it needs."""

    def __init__(self) -> None:
        self.vertices: list[Vertex] = []
        self._known: dict[tuple[Op, tuple[int, ...]], int] = {}

    def add(
        self,
        op: Op,
        inputs: tuple[int, ...] = (),
        *,
        name: str,
        stage: str = "",
        text: str = "",
        span: Span | None = None,
        no_cache: bool = False,
    ) -> int:
        """The number of the vertex, which is new where there was none like it."""
        number = self._known.get((op, inputs))
        if number is None:
            number = len(self.vertices)
            self._known[op, inputs] = number
            self.vertices.append(Vertex(number, op, inputs, name, stage, text, span, no_cache))
        return number

    def needed(self, target: int) -> list[Vertex]:
        """What `target` needs, itself included, in an order in which it can be done."""
        wanted: set[int] = set()
        pending = [target]
        while pending:
            number = pending.pop()
            if number != NOTHING and number not in wanted:
                wanted.add(number)
                pending += self.vertices[number].inputs
        return [self.vertices[number] for number in sorted(wanted)]
