"""The instructions of a Dockerfile as values. Words in them are as written: see `expand`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.lean.record import record

if TYPE_CHECKING:
    from proa.build.dockerfile.heredoc import Heredoc
    from proa.build.dockerfile.source import Span

Pairs = tuple[tuple[str, str], ...]


@record
class Instruction:
    """What all of them have."""

    keyword: str
    """as it is written"""
    text: str
    """the whole statement in one line, here-documents excluded"""
    span: Span
    comments: tuple[str, ...]
    """those directly above it"""

    @property
    def name(self) -> str:
        """`RUN`."""
        return self.keyword.upper()


@record
class From(Instruction):
    """The beginning of a stage."""

    image: str
    alias: str = ""
    """in lower case"""
    alias_text: str = ""
    as_keyword: str = ""
    platform: str = ""


@record
class Mount:
    """`RUN --mount`."""

    kind: str
    """bind, cache, tmpfs, secret, ssh"""
    target: str = ""
    source: str = ""
    from_: str = ""
    id: str = ""
    read_only: bool = False
    sharing: str = "shared"
    """of a cache: shared, private, locked"""
    size: int = 0
    """of a tmpfs: bytes; 0: no limit"""
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    variable: str = ""
    """of a secret: the environment variable that gets it"""


@record
class Run(Instruction):
    """A command to execute."""

    command: tuple[str, ...]
    """one text in shell form"""
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    """as written: `mount_flag.parse_mount` reads them once variables are filled in"""
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


@record
class Copy(Instruction):
    """Files of the context, or of a stage or image."""

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    excludes: tuple[str, ...] = ()


@record
class Add(Copy):
    """As COPY; also from URLs and git repositories, and archives are unpacked."""

    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None


@record
class Env(Instruction):
    """Environment variables."""

    pairs: Pairs
    legacy: bool = False


@record
class Label(Instruction):
    """Labels."""

    pairs: Pairs
    legacy: bool = False


@record
class Arg(Instruction):
    """Build arguments, with default values where they have some."""

    pairs: tuple[tuple[str, str | None], ...]


@record
class Workdir(Instruction):
    """The directory for what follows."""

    path: str


@record
class User(Instruction):
    """The user for what follows."""

    user: str


@record
class Expose(Instruction):
    """Ports."""

    ports: tuple[str, ...]


@record
class Volume(Instruction):
    """Places for volumes."""

    paths: tuple[str, ...]


@record
class Cmd(Instruction):
    """The command of containers."""

    command: tuple[str, ...]
    shell: bool


@record
class Entrypoint(Instruction):
    """What the command is given to."""

    command: tuple[str, ...]
    shell: bool


@record
class Shell(Instruction):
    """What executes commands in shell form."""

    words: tuple[str, ...]


@record
class Healthcheck(Instruction):
    """How containers are found to be well. Durations in nanoseconds, 0: not said."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@record
class Stopsignal(Instruction):
    """The signal that asks containers to end."""

    signal: str


@record
class Maintainer(Instruction):
    """The author."""

    author: str


@record
class Onbuild(Instruction):
    """An instruction for those who build upon the image."""

    trigger: str
