"""What becomes of a built image besides its place in the store: files, archives."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING

from proa.build.dockerfile.source import did_you_mean
from proa.errors import InvalidArgument
from proa.lean.record import record
from proa.snapshot.choose import choose_snapshots

if TYPE_CHECKING:
    from proa.store.images import ImageRecord
    from proa.store.store import Store

KINDS = ("local", "tar", "oci", "docker", "image", "registry")
STDOUT = "-"
_KEYS = ("type", "dest", "name", "push")


@record
class Output:
    """An output, as `--output type=…,dest=…` says it."""

    kind: str
    destination: str = ""
    """a directory (local), a file, or `-` for standard output"""
    names: tuple[str, ...] = ()
    """further names of the image"""
    push: bool = False


def parse_output(text: str) -> Output:
    """The output that `text` says; a path alone is a directory, `-` a tar archive to stdout.

    Raises InvalidArgument.
    """
    fields = next(iter(csv.reader([text])), [])
    if len(fields) == 1 and "=" not in fields[0]:
        return Output("tar" if text == STDOUT else "local", text)
    found: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals:
            raise InvalidArgument(
                f"invalid value {field!r} in the output {text!r}: write KEY=VALUE"
            )
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS)
            raise InvalidArgument(f"unexpected key {key!r} in the output {text!r}{hint}")
        found[key] = value
    kind = found.get("type", "")
    if kind not in KINDS:
        raise InvalidArgument(f"the output {text!r} needs a type; there are {', '.join(KINDS)}")
    destination = found.get("dest", "")
    if kind in ("local", "tar", "oci") and not destination:
        raise InvalidArgument(f"dest is required for the output of type {kind}")
    if kind == "local" and destination == STDOUT:
        raise InvalidArgument("a directory cannot be written to stdout; use type=tar")
    names = tuple(name for name in found.get("name", "").split(",") if name)
    push = found.get("push", "").lower() in ("1", "true", "t") or kind == "registry"
    return Output(kind, destination, names, push)


def write_directory(store: Store, image: ImageRecord, destination: str) -> None:
    """Put the image's files into a directory, which is made where it is missing.

    They belong to who does it; what is there already is replaced where it has the same name.
    Raises InvalidArgument, Conflict, PermissionDenied.
    """
    from proa.build.place_files import Placement
    from proa.build.tree import Tree

    os.makedirs(destination, exist_ok=True)
    root = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with Tree(choose_snapshots(store.root).view(image.layers), "the image") as tree:
            placement = Placement(root, "/", owner=(os.geteuid(), os.getegid()))
            try:
                placement.add(tree, (item for item in tree.select("/") if item.target))
                placement.finish()
            finally:
                placement.close()
    finally:
        os.close(root)


def write_tar(store: Store, image: ImageRecord, file: int) -> None:
    """Write the image's files to the descriptor `file`, as one tar archive."""
    from proa.snapshot.pack_layer import pack_stack
    from proa.snapshot.stack import Stack

    snapshots = choose_snapshots(store.root)
    with Stack([snapshots.layer_path(layer) for layer in reversed(image.layers)]) as stack:
        for piece in pack_stack(stack):
            left = memoryview(piece)
            while left:
                left = left[os.write(file, left) :]
