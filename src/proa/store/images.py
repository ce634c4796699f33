"""Images: their rows in the database, and how a name finds one."""

from __future__ import annotations

import time

from proa.errors import AmbiguousName, ImageNotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.oci.digest import Digest, is_hex
from proa.oci.reference import Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.store.database import Database, Row

LAYER, BLOB = "layer", "blob"
_SELECT = """SELECT images.id, manifest, config, layers, content, size, created, images.stored,
    (SELECT group_concat(reference, char(10)) FROM image_references WHERE image = images.id)
    FROM images """
_SELECT_TAGGED = (
    _SELECT  # noqa: S608 - constants
    + "WHERE id = (SELECT image FROM image_references WHERE reference = ?1)"
)
# by the reference it was pulled with, or else the manifest of one that has the same name; ':',
# '@' follow a repository's name, ';' and 'A' sort behind them
_SELECT_PINNED = (
    _SELECT  # noqa: S608 - constants
    + "WHERE id = coalesce("
    "(SELECT image FROM image_references WHERE reference = ?1),"
    "(SELECT image FROM image_references JOIN images ON image = id"
    " WHERE (reference > ?2 || ':' AND reference < ?2 || ';'"
    " OR reference > ?2 || '@' AND reference < ?2 || 'A')"
    " AND (manifest = ?3 OR id = ?3)))"
)


@record
class ImageRecord:
    """An image as the database has it: complete, unpacked, immutable but for its references."""

    id: Digest
    """the digest of its config"""
    manifest: Digest | None
    """the digest of its manifest among the blobs"""
    config: Mapping[str, Any]
    """its config, parsed (image-spec, config.md)"""
    layers: tuple[Digest, ...]
    """diff ids, base first"""
    size: int
    """bytes of its layers on disk"""
    created: int
    """when it was made, as its config says: nanoseconds since 1970; 0 where it does not"""
    stored: int
    """when it came into this store, nanoseconds since 1970"""
    references: tuple[str, ...] = ()
    """fully qualified, sorted"""
    content: tuple[Digest, ...] = ()
    """all blobs it consists of: manifest, config, layers"""

    @property
    def parts(self) -> frozenset[tuple[str, str]]:
        """What it takes space with: kind and digest of layers and blobs.

        A layer that came uncompressed has the digest of its blob, and is another thing.
        """
        return frozenset(
            [(LAYER, str(diff_id)) for diff_id in self.layers]
            + [(BLOB, str(digest)) for digest in self.content]
        )

    @property
    def tags(self) -> tuple[str, ...]:
        """Its references with a tag, as Docker shows them."""
        found = (Reference.parse(text) for text in self.references if "@" not in text)
        return tuple(reference.familiar for reference in found)


class Images:
    """The images of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resolve(self, name: str) -> ImageRecord:
        """The image that `name` means: a reference, a digest, an id or the beginning of one.

        A reference wins over an id that begins with the same characters, as in Docker. Of a
        reference with tag and digest, the digest decides. Raises ImageNotFound, AmbiguousName,
        InvalidArgument.
        """
        if name.startswith("sha256:") or (len(name) == 64 and is_hex(name)):
            return self._by_id(name.removeprefix("sha256:"), name)
        row = self._by_reference(Reference.parse(name).with_default_tag())
        if row is not None:
            return _image(row)
        if is_hex(name):
            return self._by_id(name, name)
        raise _not_found(name)

    def insert(
        self,
        *,
        id: Digest,
        manifest: Digest,
        config: str,
        layers: tuple[Digest, ...],
        content: tuple[Digest, ...],
        size: int,
        created: int,
        stored: int,
    ) -> None:
        """Add an image, or give one that is here its new manifest; see `ImageRecord`.

        For use within a durable transaction, when all that it refers to is on the disk.
        """
        self._database.run(
            "INSERT INTO images (id, manifest, config, layers, content, size, created, stored)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE"
            " SET manifest = ?2, content = ?5, size = ?6",
            (id, manifest, config, dumps(layers), dumps(content), size, created, stored),
        )

    def refer(self, reference: str, image: Digest) -> None:
        """Let a fully qualified reference mean an image, whatever it meant before."""
        self._database.run(
            "INSERT INTO image_references (reference, image, stored) VALUES (?1, ?2, ?3)"
            " ON CONFLICT DO UPDATE SET image = ?2, stored = ?3",
            (reference, image, time.time_ns()),
        )

    def forget(self, reference: str) -> bool:
        """Let a reference mean nothing any more; whether it meant something."""
        return (
            self._database.run("DELETE FROM image_references WHERE reference = ?1", (reference,))
            > 0
        )

    def delete(self, image: Digest) -> bool:
        """Remove an image's row and its references; whether there was one."""
        self._database.run("DELETE FROM image_references WHERE image = ?1", (image,))
        self._database.run("DELETE FROM image_uses WHERE image = ?1", (image,))
        return self._database.run("DELETE FROM images WHERE id = ?1", (image,)) > 0

    def uses(self) -> dict[str, int]:
        """When a container of an image was last made or started, by the image's id: nanoseconds
        since 1970, to the minute. Without an entry: never.
        """
        return dict(self._database.all("SELECT image, used FROM image_uses"))

    def note(self, action: str, image: Digest, config: Mapping[str, Any], name: str) -> None:
        """Note an event of the image; `name`: the one it is about, as people write it.

        For use within the transaction of the change.
        """
        from proa.store.events import Events

        labels = (config.get("config") or {}).get("Labels") or {}
        Events(self._database).add("image", action, image, {**labels, "name": name})

    def has(self, image: Digest) -> bool:
        """Whether there is an image of this id."""
        return self._database.one("SELECT 1 FROM images WHERE id = ?1", (image,)) is not None

    def of_repository(self, repository: str) -> dict[str, Digest]:
        """What the references `repository:tag` mean; `repository` is fully qualified."""
        rows = self._database.all(
            "SELECT reference, image FROM image_references"
            " WHERE reference > ?1 || ':' AND reference < ?1 || ';'",
            (repository,),
        )
        return {reference: Digest.trusted(image) for reference, image in rows}

    def _by_reference(self, reference: Reference) -> Row | None:
        if reference.digest is None:
            return self._database.one(
                _SELECT_TAGGED,
                (str(reference),),
            )
        repository = reference.repository
        return self._database.one(
            _SELECT_PINNED,
            (f"{repository}@{reference.digest}", repository, reference.digest),
        )

    def _by_id(self, digits: str, name: str) -> ImageRecord:
        if len(digits) > 64 or not is_hex(digits):
            raise _not_found(name)
        # 'g' sorts behind all hexadecimal digits
        rows = self._database.all(
            _SELECT + "WHERE id >= 'sha256:' || ?1 AND id < 'sha256:' || ?1 || 'g' LIMIT 2",
            (digits,),
        )
        if not rows and len(digits) == 64:
            rows = self._database.all(_SELECT + "WHERE manifest = 'sha256:' || ?1", (digits,))[:1]
        if not rows:
            raise _not_found(name)
        if len(rows) > 1:
            raise AmbiguousName(
                f"several images have ids that begin with {name!r}; see 'proa images'"
            )
        return _image(rows[0])

    def list(self) -> list[ImageRecord]:
        """All images, the newest first."""
        rows = self._database.all(_SELECT + "ORDER BY created DESC, images.stored DESC, id")
        return [_image(row) for row in rows]


def _not_found(name: str) -> ImageNotFound:
    return ImageNotFound(f"no such image: {name}; see 'proa images', or load one with 'proa load'")


def _image(row: Row) -> ImageRecord:
    id, manifest, config, layers, content, size, created, stored, references = row
    return ImageRecord(
        id=Digest.trusted(id),
        manifest=None if manifest is None else Digest.trusted(manifest),
        config=loads(config),
        layers=tuple(map(Digest.trusted, loads(layers))),
        size=size,
        created=created,
        stored=stored,
        references=() if references is None else tuple(sorted(references.split("\n"))),
        content=tuple(map(Digest.trusted, loads(content))),
    )
