"""The instructions of a Dockerfile as values. Words in them are as written: see `expand`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proa.build.dockerfile.heredoc import Heredoc
    from proa.build.dockerfile.source import Span

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    """The beginning of a stage."""

    image: str
    alias: str = ""
    """in lower case"""
    alias_text: str = ""
    as_keyword: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Copy):
    """As COPY; also from URLs and git repositories, and archives are unpacked."""

    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    """Environment variables."""

    pairs: Pairs
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    """Labels."""

    pairs: Pairs
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """Build arguments, with default values where they have some."""

    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    """The directory for what follows."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    """The user for what follows."""

    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    """Ports."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    """Places for volumes."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cmd(Instruction):
    """The command of containers."""

    command: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint(Instruction):
    """What the command is given to."""

    command: tuple[str, ...]
    shell: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    """What executes commands in shell form."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """How containers are found to be well. Durations in nanoseconds, 0: not said."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopsignal(Instruction):
    """The signal that asks containers to end."""

    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    """The author."""

    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    """An instruction for those who build upon the image."""

    trigger: str
