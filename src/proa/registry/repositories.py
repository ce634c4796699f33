"""What the registry's repositories have: manifests, tags, blobs; in the database.

A repository of the engine's images is one as well: `library/alpine` is what the engine calls
`docker.io/library/alpine`. It can be read. What was pushed comes first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proa.errors import InvalidArgument, NotFound
from proa.lean.json import dumps, loads
from proa.lean.record import record
from proa.oci import media_types
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_MANIFEST
from proa.oci.reference import Reference
from proa.registry.refusals import Refused, unknown_blob, unknown_manifest, unknown_name
from proa.store.leases import BLOB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.registry.manifests import Pushed
    from proa.store.store import Store


@record
class Found:
    """A manifest that a repository has."""

    digest: Digest
    media_type: str


class Repositories:
    """The repositories of a store."""

    def __init__(self, store: Store, *, sparse: bool = False) -> None:
        """`sparse`: manifests may be put whose blobs are not there."""
        self._store = store
        self._database = store.database
        self._sparse = sparse

    def manifest(self, name: str, reference: str) -> Found:
        """What a tag or a digest means. Raises Refused."""
        if ":" in reference:
            digest = reference
        else:
            row = self._database.one(
                "SELECT digest FROM registry_tags WHERE repository = ?1 AND tag = ?2",
                (name, reference),
            )
            if row is None:
                return self._of_engine(name, reference)
            digest = row[0]
        row = self._database.one(
            "SELECT media_type FROM registry_manifests WHERE repository = ?1 AND digest = ?2",
            (name, digest),
        )
        if row is None:
            return self._of_engine(name, reference)
        return Found(Digest.trusted(digest), row[0])

    def has_blob(self, name: str, digest: Digest) -> bool:
        """Whether the repository has the blob."""
        row = self._database.one(
            "SELECT 1 FROM registry_blobs WHERE repository = ?1 AND digest = ?2", (name, digest)
        )
        if row is not None:
            return True
        return any(digest in content for content in self._contents(name))

    def check_blob(self, name: str, digest: Digest) -> str:
        """The path of a blob that the repository has. Raises Refused."""
        path = self._store.blobs.path(digest)
        if not self.has_blob(name, digest) or not self._store.blobs.exists(digest):
            raise unknown_blob(name, digest)
        return path

    def is_anywhere(self, digest: Digest) -> bool:
        """Whether some repository has the blob."""
        row = self._database.one(
            "SELECT 1 FROM registry_blobs WHERE digest = ?1"
            " UNION SELECT 1 FROM images WHERE instr(content, ?1) LIMIT 1",
            (digest,),
        )
        return row is not None

    def link(self, name: str, digest: Digest) -> bool:
        """Let the repository have a blob of the store; False where the store has not got it."""
        with self._database.transaction(durable=True):
            # collection takes blobs away within a transaction: it is there until the end of this
            if not self._store.blobs.exists(digest):
                return False
            self._database.run(
                "INSERT OR IGNORE INTO registry_blobs (repository, digest) VALUES (?1, ?2)",
                (name, digest),
            )
        return True

    def unlink(self, name: str, digest: Digest) -> None:
        """Let the repository have a blob no more. Raises Refused."""
        with self._database.transaction(durable=True):
            count = self._database.run(
                "DELETE FROM registry_blobs WHERE repository = ?1 AND digest = ?2", (name, digest)
            )
        if not count:
            if self.has_blob(name, digest):
                raise _is_the_engine_s(name)
            raise unknown_blob(name, digest)

    def put(self, name: str, pushed: Pushed, tags: Iterable[str]) -> None:
        """Keep a manifest, and let tags mean it. Raises Refused where a part of it is missing."""
        for digest in () if self._sparse else pushed.needed:
            if not self.has_blob(name, digest):
                raise Refused(
                    404,
                    "MANIFEST_BLOB_UNKNOWN",
                    f"the manifest refers to {digest}, which {name} has not got: push it first",
                )
        with self._store.leases.take("registry") as lease:
            lease.protect(BLOB, pushed.digest)
            if not self._store.blobs.exists(pushed.digest):
                self._store.blobs.put(pushed.data, pushed.digest)
            with self._database.transaction(durable=True):
                self._database.run(
                    "INSERT OR REPLACE INTO registry_manifests"
                    " (repository, digest, media_type, size, subject, artifact_type, annotations)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        name,
                        pushed.digest,
                        pushed.media_type,
                        len(pushed.data),
                        pushed.subject,
                        pushed.artifact_type,
                        dumps(pushed.annotations),
                    ),
                )
                for tag in tags:
                    self._database.run(
                        "INSERT OR REPLACE INTO registry_tags (repository, tag, digest, updated)"
                        " VALUES (?1, ?2, ?3, ?4)",
                        (name, tag, pushed.digest, time.time_ns()),
                    )

    def delete_manifest(self, name: str, digest: Digest) -> None:
        """Remove a manifest with its tags. Raises Refused."""
        with self._database.transaction(durable=True):
            count = self._database.run(
                "DELETE FROM registry_manifests WHERE repository = ?1 AND digest = ?2",
                (name, digest),
            )
            self._database.run(
                "DELETE FROM registry_tags WHERE repository = ?1 AND digest = ?2", (name, digest)
            )
        if not count:
            self._of_engine(name, digest)
            raise _is_the_engine_s(name)

    def delete_tag(self, name: str, tag: str) -> None:
        """Let a tag mean nothing any more. Raises Refused."""
        with self._database.transaction(durable=True):
            count = self._database.run(
                "DELETE FROM registry_tags WHERE repository = ?1 AND tag = ?2", (name, tag)
            )
        if not count:
            self._of_engine(name, tag)
            raise _is_the_engine_s(name)

    def tags(self, name: str) -> list[str]:
        """All tags, sorted. Raises Refused."""
        rows = self._database.all("SELECT tag FROM registry_tags WHERE repository = ?1", (name,))
        found = {tag for (tag,) in rows}
        repository = _engine_s(name)
        if repository is not None:
            known = self._store.images.of_repository(repository)
            found |= {reference.rpartition(":")[2] for reference in known}
        if not found and not self._is_known(name):
            raise unknown_name(name)
        return sorted(found)

    def catalog(self) -> list[str]:
        """All repositories, sorted."""
        rows = self._database.all(
            "SELECT repository FROM registry_manifests UNION SELECT repository FROM registry_tags"
        )
        found = {name for (name,) in rows}
        for image in self._store.images.list():
            for text in image.references:
                reference = Reference.parse(text)
                name = (
                    reference.path
                    if reference.domain == "docker.io"
                    else f"{reference.domain}/{reference.path}"
                )
                # one with a port in it can be no name here
                if ":" not in name:
                    found.add(name)
        return sorted(found)

    def referrers(self, name: str, digest: Digest) -> list[dict[str, object]]:
        """Descriptors of the manifests whose subject this is."""
        rows = self._database.all(
            "SELECT digest, media_type, size, artifact_type, annotations FROM registry_manifests"
            " WHERE repository = ?1 AND subject = ?2 ORDER BY digest",
            (name, digest),
        )
        found = []
        for other, media_type, size, artifact_type, notes in rows:
            entry: dict[str, object] = {"mediaType": media_type, "digest": other, "size": size}
            if artifact_type:
                entry["artifactType"] = artifact_type
            if extra := loads(notes):
                entry["annotations"] = extra
            found.append(entry)
        return found

    def _is_known(self, name: str) -> bool:
        row = self._database.one(
            "SELECT 1 FROM registry_manifests WHERE repository = ?1"
            " UNION SELECT 1 FROM registry_blobs WHERE repository = ?1 LIMIT 1",
            (name,),
        )
        return row is not None

    def _of_engine(self, name: str, reference: str) -> Found:
        """What the engine's image of this name has for a manifest. Raises Refused."""
        repository = _engine_s(name)
        separator = "@" if ":" in reference else ":"
        row = None
        if repository is not None:
            row = self._database.one(
                "SELECT manifest FROM images JOIN image_references ON image = id"
                " WHERE reference = ?1",
                (f"{repository}{separator}{reference}",),
            )
        found = None if row is None or row[0] is None else Digest.trusted(row[0])
        if separator == "@" and repository is not None:
            # a manifest, or the index that it was chosen from
            digest = Digest.trusted(reference)
            found = digest if any(digest in content for content in self._contents(name)) else None
        if found is None:
            if not self._is_known(name) and not any(True for _ in self._contents(name)):
                raise (
                    unknown_manifest(name, reference)
                    if separator == "@"
                    else Refused(404, "MANIFEST_UNKNOWN", f"there is no {name}:{reference}")
                )
            raise unknown_manifest(name, reference)
        try:
            document = loads(self._store.blobs.read(found, LARGEST_MANIFEST))
        except (NotFound, ValueError):
            raise unknown_manifest(name, reference) from None
        if not isinstance(document, dict) or "schemaVersion" not in document:
            raise unknown_manifest(name, reference)  # a layer, or a config
        kind = document.get("mediaType")
        usual = media_types.OCI_INDEX if "manifests" in document else media_types.OCI_MANIFEST
        return Found(found, kind if isinstance(kind, str) else usual)

    def _contents(self, name: str) -> Iterable[list[str]]:
        """The blobs of each of the engine's images that has this name."""
        repository = _engine_s(name)
        if repository is None:
            return
        rows = self._database.all(
            "SELECT DISTINCT content FROM images JOIN image_references ON image = id"
            " WHERE reference > ?1 || ':' AND reference < ?1 || ';'"
            " OR reference > ?1 || '@' AND reference < ?1 || 'A'",
            (repository,),
        )
        for (content,) in rows:
            yield loads(content)


def _engine_s(name: str) -> str | None:
    """What the engine calls a repository of this name."""
    try:
        return Reference.parse(name).repository
    except InvalidArgument:
        return None


def _is_the_engine_s(name: str) -> Refused:
    return Refused(
        405,
        "UNSUPPORTED",
        f"{name} is an image of the engine: remove it there, with 'proa rmi'",
    )
