"""Manifests in registries, and lists of manifests: put together here, then pushed.

A list that is being put together is rows in the database; a registry has an index of them once it
is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.distribution.repository import Content, Repository
from proa.distribution.upload import Target
from proa.engine.registries import client
from proa.errors import AlreadyExists, ImageNotFound, InvalidArgument, NotFound
from proa.image.copy import copy_part
from proa.image.places import RegistryPlace, RegistrySink
from proa.image.variants import kind_of
from proa.lean.json import dumps, loads
from proa.lean.record import record, replace
from proa.oci import media_types
from proa.oci.descriptor import Descriptor
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_CONFIG
from proa.oci.image_config import ImageConfig
from proa.oci.index import Index
from proa.oci.manifest import Manifest
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from proa.distribution.client import Client
    from proa.store.store import Store


@record
class Listed:
    """A manifest that was looked at."""

    reference: str
    descriptor: dict[str, Any]
    data: bytes


class Manifests:
    """The manifests of registries, and the lists of this engine."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str, *, insecure: bool = False) -> Content:
        """What a reference means: the list of that name here, or else what its registry has.

        Raises ImageNotFound, Unauthorized, Unavailable, InvalidArgument.
        """
        reference = Reference.parse(name).with_default_tag()
        members = self._members(reference)
        if members:
            return _index(members)
        with _client(reference, insecure=insecure) as registries:
            return RegistryPlace(registries, reference).root()

    def member(self, list_name: str, name: str) -> Listed:
        """A manifest of a list here. Raises NotFound."""
        wanted = self._member(Reference.parse(list_name).with_default_tag(), name)
        with _client(Reference.parse(wanted.reference)) as registries:
            content = Repository(registries, Reference.parse(wanted.reference)).get(
                wanted.descriptor["digest"]
            )
        return replace(wanted, data=content.data)

    def details(self, name: str, *, insecure: bool = False) -> tuple[bool, list[Listed]]:
        """What a reference means with all that it lists; whether it is a list."""
        content = self.get(name, insecure=insecure)
        reference = Reference.parse(name).with_default_tag()
        kind = kind_of(content)
        sources = {digest: source for digest, source, _ in self._members(reference)}
        with _client(reference, insecure=insecure) as registries:
            if kind not in media_types.INDEXES:
                return False, [_look_at(registries, reference, content)]
            found = []
            for entry in loads(content.data)["manifests"]:
                source = Reference.parse(sources.get(entry["digest"], str(reference)))
                data = Repository(registries, source).get(entry["digest"]).data
                pinned = replace(source, tag=None, digest=Digest(entry["digest"]))
                found.append(Listed(str(pinned), entry, data))
            return True, found

    def create(
        self, name: str, members: Iterable[str], *, amend: bool = False, insecure: bool = False
    ) -> str:
        """Begin a list of manifests that registries have; its full name.

        `amend`: add to one that is there. Raises AlreadyExists, ImageNotFound, InvalidArgument …
        """
        reference = Reference.parse(name).with_default_tag()
        if self._members(reference) and not amend:
            raise AlreadyExists(f"refusing to amend an existing manifest list {name}; use --amend")
        rows = []
        for member in members:
            source = Reference.parse(member).with_default_tag()
            with _client(source, insecure=insecure) as registries:
                content = RegistryPlace(registries, source).root()
                if kind_of(content) in media_types.INDEXES:
                    raise InvalidArgument(f"{member} is a manifest list; name its manifests")
                found = _look_at(registries, source, content)
            digest = found.descriptor["digest"]
            rows.append((str(reference), digest, str(source), dumps(found.descriptor)))
        with self._store.database.transaction(durable=True):
            for row in rows:
                self._store.database.run(
                    "INSERT OR REPLACE INTO manifest_lists (list, digest, source, descriptor)"
                    " VALUES (?1, ?2, ?3, ?4)",
                    row,
                )
        return str(reference)

    def annotate(
        self,
        list_name: str,
        name: str,
        *,
        os: str = "",
        architecture: str = "",
        variant: str = "",
        os_version: str = "",
        os_features: Sequence[str] = (),
    ) -> None:
        """Say what a manifest of a list is for. Raises NotFound, InvalidArgument."""
        reference = Reference.parse(list_name).with_default_tag()
        member = self._member(reference, name)
        platform = dict(member.descriptor.get("platform") or {})
        given = {
            "os": os,
            "architecture": architecture,
            "variant": variant,
            "os.version": os_version,
            "os.features": list(os_features),
        }
        platform.update({key: value for key, value in given.items() if value})
        descriptor = {**member.descriptor, "platform": platform}
        with self._store.database.transaction(durable=True):
            self._store.database.run(
                "UPDATE manifest_lists SET descriptor = ?3 WHERE list = ?1 AND digest = ?2",
                (str(reference), descriptor["digest"], dumps(descriptor)),
            )

    def push(
        self,
        name: str,
        *,
        purge: bool = False,
        insecure: bool = False,
        pushed: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Send a list to its registry; the digest. `purge`: and forget it here.

        Manifests of other repositories are copied there with their blobs, without passing through
        the store; `pushed` is called with the reference of each. Raises NotFound, Unauthorized …
        """
        reference = Reference.parse(name).with_default_tag()
        members = self._members(reference)
        if not members:
            raise _no_list(name)
        with _client(reference, insecure=insecure) as registries:
            target = Target(registries, reference)
            sink = RegistrySink(registries, reference)
            for digest, source_text, _ in members:
                source = Reference.parse(source_text)
                pinned = replace(source, tag=None, digest=Digest(digest))
                if source.repository != reference.repository:
                    copy_part(RegistryPlace(registries, pinned), sink)
                pushed(f"{reference.repository}@{digest}")
            index = _index(members)
            target.put_manifest(index.data, index.media_type, reference.tag)
        if purge:
            self.remove(name)
        return str(index.digest)

    def remove(self, name: str) -> None:
        """Forget a list. Raises NotFound."""
        reference = Reference.parse(name).with_default_tag()
        with self._store.database.transaction(durable=True):
            count = self._store.database.run(
                "DELETE FROM manifest_lists WHERE list = ?1", (str(reference),)
            )
        if not count:
            raise _no_list(name)

    def _members(self, reference: Reference) -> list[tuple[str, str, dict[str, Any]]]:
        rows = self._store.database.all(
            "SELECT digest, source, descriptor FROM manifest_lists WHERE list = ?1 ORDER BY source",
            (str(reference),),
        )
        return [(digest, source, loads(descriptor)) for digest, source, descriptor in rows]

    def _member(self, list_reference: Reference, name: str) -> Listed:
        wanted = Reference.parse(name).with_default_tag()
        for digest, source, descriptor in self._members(list_reference):
            if source == str(wanted) or (
                wanted.digest == digest and Reference.parse(source).repository == wanted.repository
            ):
                return Listed(source, descriptor, b"")
        raise NotFound(f"manifest {name} does not exist in manifest list {list_reference.familiar}")


def _client(reference: Reference, *, insecure: bool = False) -> Client:
    return client(insecure=[reference.domain] if insecure else ())


def _look_at(registries: Client, reference: Reference, content: Content) -> Listed:
    kind = kind_of(content)
    descriptor: dict[str, Any] = {
        "mediaType": kind,
        "size": len(content.data),
        "digest": str(content.digest),
    }
    if kind in media_types.MANIFESTS:
        manifest = Manifest.parse(content.data, kind)
        config = ImageConfig.parse(
            Repository(registries, reference).read(manifest.config, LARGEST_CONFIG)
        )
        found = Descriptor(kind, content.digest, len(content.data), config.platform).to_json()
        descriptor = {**descriptor, "platform": found["platform"]}
    pinned = replace(reference, digest=None) if reference.tag else reference
    return Listed(str(pinned), descriptor, content.data)


def _index(members: Sequence[tuple[str, str, dict[str, Any]]]) -> Content:
    descriptors = [descriptor for _, _, descriptor in members]
    docker = all(item["mediaType"] == media_types.DOCKER_MANIFEST for item in descriptors)
    kind = media_types.DOCKER_INDEX if docker else media_types.OCI_INDEX
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": descriptors}
    data = dumps(document).encode()
    Index.parse(data, kind)
    return Content(data, kind, Digest.of(data))


def _no_list(name: str) -> ImageNotFound:
    return ImageNotFound(f"no such manifest list: {name}; make it with 'proa manifest create'")
