"""All CDI specifications of this machine."""

from __future__ import annotations

import os

from proa.engine.cdi.document import Document, read
from proa.errors import Conflict, NotFound, ProaError
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where files lie; a device in a later one is taken rather than its namesake in an earlier one."""
SUFFIXES = (".json", ".yaml")


@record
class Registry:
    """What there is."""

    devices: Mapping[str, tuple[Document, ...]]
    """by `vendor/class=device`: the files that describe it, which should be one"""
    errors: Mapping[str, ProaError]
    """by file: why nothing of it is used"""

    def find(self, name: str) -> Document:
        """The file that describes the device. Raises NotFound, Conflict."""
        documents = self.devices.get(name, ())
        if len(documents) > 1:
            raise Conflict(
                f"CDI device {name} is described more than once: by"
                f" {', '.join(document.path for document in documents)}; remove all but one"
            )
        if documents:
            return documents[0]
        if self.errors:
            hint = f"these files were refused: {'; '.join(map(str, self.errors.values()))}"
        elif self.devices:
            hint = f"there are {', '.join(sorted(self.devices))}"
        else:
            hint = f"no file in {' or '.join(DIRECTORIES)} describes any"
        raise NotFound(f"no such CDI device: {name}; {hint}")


def load(directories: Sequence[str] = DIRECTORIES) -> Registry:
    """Read all files. What is wrong with one does not keep the others from being used."""
    devices: dict[str, tuple[Document, ...]] = {}
    errors: dict[str, ProaError] = {}
    for directory in directories:
        here: dict[str, tuple[Document, ...]] = {}
        for path in _files(directory):
            try:
                document = read(path)
            except ProaError as error:
                errors[path] = error
                continue
            for device in document.devices:
                name = f"{document.kind}={device}"
                here[name] = (*here.get(name, ()), document)
        devices.update(here)
    return Registry(devices, errors)


def _files(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return [f"{directory}/{name}" for name in sorted(names) if name.endswith(SUFFIXES)]
