"""Dockerfiles written in Python: what an image is made of, step by step.

    app = (
        Image.from_("debian:bookworm")
        .run(["apt-get", "install", "-y", "python3"])
        .copy("src", "/app")
        .cmd(["python3", "/app"])
    )
    engine.images.build(".", recipe=app, tag="app")

A recipe never changes: each method gives another one. It comes to a Dockerfile, and is built as
such: the same cache, the same steps. Values are taken as they are: no `$` in them is a variable's.
"""

from __future__ import annotations

import json
import re

from proa.errors import InvalidArgument
from proa.lean.record import record, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_END = "END_OF_SCRIPT"


@record
class _Step:
    text: str
    """an instruction; `{stage}` stands for the name of `source`"""
    source: Recipe | None = None


@record
class Recipe:
    """How an image is made; see the module."""

    base: str | Recipe
    steps: tuple[_Step, ...] = ()

    @classmethod
    def from_(cls, base: str | Recipe, *, platform: str = "") -> Self:
        """Begin with an image, `scratch`, or where another recipe ends."""
        if isinstance(base, str) and (not base or re.search(r"[\s$\\]", base)):
            raise InvalidArgument(f"{base!r} is not the name of an image")
        if platform and isinstance(base, str):
            base = f"--platform={_word(platform)} {base}"
        return cls(base)

    def run(
        self,
        command: str | Sequence[str],
        *,
        mounts: Sequence[str] = (),
        network: str = "",
    ) -> Self:
        """Execute a command: a list as it is, a text by the shell, several lines of it too.

        `mounts`: as `RUN --mount` has them: `type=cache,target=/root/.cache`.
        """
        flags = "".join(f"--mount={_word(mount)} " for mount in mounts)
        if network:
            flags += f"--network={_word(network)} "
        if not isinstance(command, str):
            return self._with(f"RUN {flags}{_array(command)}")
        end = _END
        while end in command.split("\n"):
            end += "_"
        script = command if command.endswith("\n") else f"{command}\n"
        return self._with(f"RUN {flags}<<{end}\n{script}{end}")

    def copy(
        self,
        *paths: str,
        from_: Recipe | str | None = None,
        chown: str = "",
        chmod: str = "",
        link: bool = False,
        parents: bool = False,
        exclude: Sequence[str] = (),
    ) -> Self:
        """Copy files: the last of `paths` is where to.

        `from_`: another recipe, an image or a further context, instead of the context.
        """
        if len(paths) < 2:
            raise InvalidArgument("copy takes what to copy, and where to")
        flags = ""
        if isinstance(from_, Recipe):
            flags += "--from={stage} "
        elif from_ is not None:
            flags += f"--from={_word(from_)} "
        for name, value in (("chown", chown), ("chmod", chmod)):
            flags += f"--{name}={_word(value)} " if value else ""
        for name, wanted in (("link", link), ("parents", parents)):
            flags += f"--{name} " if wanted else ""
        flags += "".join(f"--exclude={_word(pattern)} " for pattern in exclude)
        text = f"COPY {flags}{_array([_plain(path) for path in paths])}"
        return self._with(text, from_ if isinstance(from_, Recipe) else None)

    def add(self, source: str, to: str, *, checksum: str = "", unpack: bool | None = None) -> Self:
        """Add a file of a URL, a git repository, or an archive, which is unpacked."""
        flags = f"--checksum={_word(checksum)} " if checksum else ""
        if unpack is not None:
            flags += f"--unpack={str(unpack).lower()} "
        return self._with(f"ADD {flags}{_array([_plain(source), _plain(to)])}")

    def env(self, values: Mapping[str, str] | None = None, **more: str) -> Self:
        """Set environment variables."""
        return self._with(f"ENV {_pairs({**(values or {}), **more})}")

    def label(self, values: Mapping[str, str] | None = None, **more: str) -> Self:
        """Set labels."""
        return self._with(f"LABEL {_pairs({**(values or {}), **more}, any_key=True)}")

    def workdir(self, path: str) -> Self:
        """The directory for what follows, and of containers."""
        return self._with(f"WORKDIR {_quoted(path)}")

    def user(self, user: str) -> Self:
        """The user for what follows, and of containers."""
        return self._with(f"USER {_quoted(user)}")

    def expose(self, *ports: int | str) -> Self:
        """Say on which ports containers listen."""
        return self._with("EXPOSE " + " ".join(_word(str(port)) for port in ports))

    def volume(self, *paths: str) -> Self:
        """Say where containers have volumes."""
        return self._with(f"VOLUME {_array([_plain(path) for path in paths])}")

    def cmd(self, command: Sequence[str] | str) -> Self:
        """The command of containers; a text is executed by the shell."""
        return self._with(f"CMD {_command(command)}")

    def entrypoint(self, command: Sequence[str] | str) -> Self:
        """What the command is given to."""
        return self._with(f"ENTRYPOINT {_command(command)}")

    def shell(self, words: Sequence[str]) -> Self:
        """What executes texts."""
        return self._with(f"SHELL {_array(words)}")

    @property
    def dockerfile(self) -> bytes:
        """The Dockerfile that it comes to."""
        names: dict[int, str] = {}
        parts: list[str] = []
        self._write(names, parts)
        return "\n".join(parts).encode("utf-8", "surrogateescape") + b"\n"

    def _write(self, names: dict[int, str], parts: list[str]) -> str:
        """Write itself as a stage, after those that it needs; its name."""
        if id(self) in names:
            return names[id(self)]
        base = self.base if isinstance(self.base, str) else self.base._write(names, parts)
        texts = []
        for step in self.steps:
            text = step.text
            if step.source is not None:
                text = text.replace("{stage}", step.source._write(names, parts), 1)
            texts.append(text)
        name = names[id(self)] = f"stage-{len(names)}"
        parts += [f"FROM {base} AS {name}", *texts]
        return name

    def _with(self, text: str, source: Recipe | None = None) -> Self:
        return replace(self, steps=(*self.steps, _Step(text, source)))


def _array(words: Sequence[str]) -> str:
    return json.dumps(list(words), ensure_ascii=True)


def _command(command: Sequence[str] | str) -> str:
    if isinstance(command, str):
        command = ["/bin/sh", "-c", command]
    return _array(command)


def _word(text: str) -> str:
    """A flag's value or a word, as it is: nothing in it may end it."""
    if not text or re.search(r"[\s$\\\"']", text):
        raise InvalidArgument(f"{text!r} cannot be given here: it has blanks, quotes or '$'")
    return text


def _plain(text: str) -> str:
    """What is expanded once more: each character that means something is escaped."""
    if "\n" in text:
        raise InvalidArgument(f"{text!r} has a line break")
    return re.sub(r"([\\$\"'])", r"\\\1", text)


def _quoted(text: str) -> str:
    if "\n" in text or not text:
        raise InvalidArgument(f"{text!r} is empty, or has a line break")
    return '"' + re.sub(r"([\\$\"])", r"\\\1", text) + '"'


def _pairs(values: Mapping[str, str], *, any_key: bool = False) -> str:
    if not values:
        raise InvalidArgument("there is nothing to set")
    found = []
    for key, value in values.items():
        if any_key:
            name = _quoted(key)
        elif _NAME.fullmatch(key):
            name = key
        else:
            raise InvalidArgument(f"{key!r} is not the name of an environment variable")
        found.append(f"{name}={_quoted(value) if value else ''}")
    return " ".join(found)
