"""What can be done with a container's files: the part of `Container` that is about them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from proa.engine.engine import Engine
    from proa.engine.files import ContainerSide
    from proa.engine.images import Image, Reader
    from proa.store.containers import ContainerRow


class ContainerFiles:
    """Archives of a container's files, what it has changed, and images of that."""

    _engine: Engine
    _row: ContainerRow

    def files(self) -> ContainerSide:
        """Its files, as one side of a copy; see `engine.copy`."""
        from proa.engine.files import ContainerSide

        user = str(self._row.config["process"]["user"])
        return ContainerSide(self._engine.store, self._current(), user=user)

    def _current(self) -> ContainerRow:
        """Its row as it is now. Raises ContainerNotFound where it was removed."""
        return self._engine.store.containers.find(self._row.id)

    def get_archive(
        self, path: str, chunk_size: int | None = None, encode_stream: bool = False
    ) -> tuple[Iterator[bytes], dict[str, Any]]:
        """What lies at `path` as a tar archive, in pieces, and what it is, as docker-py has it:
        name, size, mode (Go's), mtime, linkTarget. A link is not followed.

        `chunk_size`: bytes of each piece; None: as they come. `encode_stream` is for connections.
        Raises NotFound, InvalidArgument, PermissionDenied.
        """
        from proa.engine.archives import get_archive

        del encode_stream
        return get_archive(self._engine.store, self._current(), path, chunk_size)

    def put_archive(self, path: str, data: bytes | Reader | Iterable[bytes]) -> bool:
        """Put a tar archive, compressed or not, into the directory `path`; True.

        `data`: the archive, a stream, or its pieces. Raises NotFound, InvalidArgument, Conflict,
        CorruptData, HostileData, NoSpace, PermissionDenied.
        """
        from proa.engine.archives import put_archive

        put_archive(self._engine.store, self._current(), path, data)
        return True

    def export(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """All of its files as a tar archive, without volumes and other mounts, in pieces."""
        from proa.engine.archives import export

        return export(self._engine.store, self._current(), chunk_size)

    def sizes(self) -> tuple[int, int]:
        """Bytes that it has changed, and those with its image. Raises NotFound."""
        from proa.engine.container_sizes import sizes

        return sizes(self._engine, self)  # type: ignore[arg-type]

    def diff(self) -> list[dict[str, Any]]:
        """What it has changed: each `Path`, and its `Kind`: 0 changed, 1 added, 2 deleted."""
        from proa.engine.archives import diff

        return diff(self._engine.store, self._current())

    def commit(
        self, repository: str | None = None, tag: str | None = None, **options: Any
    ) -> Image:
        """Make an image of what it has changed, on top of its own, called `repository`:`tag`.

        `options`: message and author (texts), changes (instructions of a Dockerfile that set the
        image's defaults), conf (members of its config, as Docker's API has them), pause (True:
        keep the processes from running meanwhile). Raises InvalidArgument, ImageNotFound, NoSpace.
        """
        from proa.engine.commit import commit

        return commit(self._engine, self._row.id, repository, tag, **options)
