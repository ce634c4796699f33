"""Build contexts for tests."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.command import Command


class Context:
    """A directory to build of, and the command that does."""

    def __init__(self, proa: Command, path: Path) -> None:
        self.proa = proa
        self.path = path

    def write(self, name: str, content: str = "", mode: int | None = None) -> Path:
        """Put a file there."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        if mode is not None:
            path.chmod(mode)
        return path

    def build(self, dockerfile: str | None = None, *flags: str, code: int = 0) -> str:
        """Build with plain progress; what was shown."""
        if dockerfile is not None:
            self.write("Dockerfile", dockerfile)
        result = self.proa(
            "build", "--progress=plain", "-t", "built", *flags, str(self.path), code=code
        )
        assert result.stdout == ""
        return result.stderr

    def run(self, *command: str) -> str:
        """What a command in the image prints."""
        return self.proa.output("run", "--rm", "--network", "none", "built", *command)

    def image_id(self) -> str:
        """The id of what was built."""
        return self.proa.output("image", "inspect", "-f", "{{.Id}}", "built")

    def inspect(self, template: str) -> str:
        """Something about what was built."""
        return self.proa.output("image", "inspect", "-f", template, "built")


def steps(shown: str) -> dict[str, str]:
    """How each step ended: CACHED, DONE, ERROR, CANCELED, by its instruction."""
    names: dict[str, str] = {}
    found = {}
    for line in shown.splitlines():
        if not line.startswith("#"):
            continue
        number, _, rest = line.partition(" ")
        if number not in names:
            names[number] = rest.partition("] ")[2] or rest
        for outcome in ("CACHED", "DONE", "ERROR", "CANCELED"):
            if rest.startswith(outcome):
                found[names[number]] = outcome
    return found


def holds(directory: str, secret: bytes) -> list[str]:
    """The files below a directory in which `secret` is found."""
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if secret in file.read():
                        found.append(path)
    return found
