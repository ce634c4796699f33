"""Getting a build's context ready, wherever it comes from: it becomes a directory."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from proa.build.dockerfile.source import Source
from proa.build.remote import fetch, is_remote, parse_repository
from proa.build.workspace import Workspace
from proa.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.snapshot.decompress import Stream
    from proa.store.store import Store

_LARGEST_DOCKERFILE = 8 << 20
_HEAD = 1 << 16


@contextmanager
def prepared(
    store: Store, path: str, stream: Stream | None
) -> Iterator[tuple[str, Source | None, bool]]:
    """The directory of the context, for as long as it is needed.

    `path`: a directory, or the URL of a git repository, of an archive or of a Dockerfile.
    `stream`: where it is given, that is the context: an archive, or a Dockerfile alone. The
    Dockerfile, where it is not in the context, comes along, and whether strangers have made it all.
    """
    if stream is not None:
        with _unpacked(store, stream) as found:
            yield found
        return
    if not is_remote(path):
        yield path, None, False
        return
    fetched = fetch(store, path)
    if parse_repository(path) is not None:
        yield fetched.root, None, True
        return
    with open(f"{fetched.root}/{fetched.name}", "rb", buffering=0) as file:
        with _unpacked(store, file) as found:
            yield found


@contextmanager
def _unpacked(store: Store, stream: Stream) -> Iterator[tuple[str, Source | None, bool]]:
    from proa.build.archive import File, is_archive, unpack_context

    with Workspace(store) as space:
        directory = f"{space.path}/context"
        os.mkdir(directory, 0o700)
        with open(f"{space.path}/received", "w+b", buffering=0) as file:
            while data := stream.read(_HEAD):
                file.write(data)
            file.seek(0)
            if is_archive(file.fileno()):
                unpack_context(File(file.fileno()), directory)
                source = None
            else:
                text = file.read(_LARGEST_DOCKERFILE + 1)
                if len(text) > _LARGEST_DOCKERFILE:
                    raise LimitExceeded(
                        f"what was given is no archive, and for a Dockerfile it is larger than"
                        f" {_LARGEST_DOCKERFILE} bytes"
                    )
                source = Source.decode(text)
        os.unlink(f"{space.path}/received")
        yield directory, source, True
