"""The images of an engine: load, save, import, find, list, tag and remove them.

Only `Images` and `Image` themselves are imported with this module: what does the work is
imported when it is asked for, most of it with half of the standard library.
"""

from __future__ import annotations

from proa.errors import InvalidArgument
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Literal, Protocol, overload

    from proa.build.events import Event
    from proa.engine.recipe import Recipe
    from proa.image.progress import Progress
    from proa.oci.digest import Digest
    from proa.oci.platform import Platform
    from proa.store.containers import ContainerRow
    from proa.store.images import ImageRecord
    from proa.store.store import Store

    builtins_list = list

    class Reader(Protocol):
        """What an archive is read from."""

        def read(self, size: int, /) -> bytes:
            """Up to `size` bytes; none at the end only."""

    class Writer(Protocol):
        """What an archive is written to."""

        def write(self, data: bytes, /) -> int | None:
            """Take all of `data`, or as much as is returned."""


@record
class Pulled:
    """An image that was pulled."""

    image: Image
    reference: str
    """as Docker shows it: with a tag or a digest"""
    digest: str
    """of what the reference means in the registry: a manifest, or an index"""
    is_newer: bool
    """it was not what the reference meant here before"""


@record
class Pushed:
    """An image that was pushed."""

    reference: str
    """as Docker shows it, with its tag"""
    digest: str
    """of its manifest"""
    size: int
    """bytes of its manifest"""


class Images:
    """Images by name, and ways to get new ones."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> Image:
        """The image that `name` means: a reference, a digest, an id or the beginning of one.

        Raises ImageNotFound, AmbiguousName, InvalidArgument.
        """
        return Image(self._store, self._store.images.resolve(name))

    def load(
        self,
        source: Reader | bytes | str,
        *,
        platform: str | None = None,
        renamed: Callable[[str, Digest], None] = lambda _name, _id: None,
    ) -> list[Image]:
        """Load all images of an archive (docker-archive, oci-archive) or of an OCI layout.

        `source`: a stream, the archive itself, or the path of an archive or of a layout's
        directory; compressed or not. `platform`: which variant to load of an image that has
        several; without it, the one for this machine. All images are loaded, or none is. The
        tags of each result are the names it has in the archive. `renamed` is called for each
        name that meant another image before, with that image's id.

        Raises NotFound, CorruptData, HostileData, LimitExceeded, ImageNotFound (no such
        platform), NoSpace.
        """
        from proa.image.load import load_images

        if isinstance(source, (bytes, bytearray, memoryview)):
            import io

            source = io.BytesIO(source)
        loaded = load_images(self._store, source, _platform(platform), renamed=renamed)
        return [Image(self._store, item.image, item.references) for item in loaded]

    def save(
        self,
        names: str | Iterable[str],
        sink: Writer,
        *,
        format: str = "docker-archive",
        platform: str | None = None,
    ) -> None:
        """Write images as one archive to `sink`.

        A repository without a tag stands for all of its tags. `format`: docker-archive or
        oci-archive. Raises ImageNotFound, InvalidArgument, NoSpace.
        """
        from proa.image.save import save

        wanted = [names] if isinstance(names, str) else names
        save(self._store, wanted, sink, format, platform=_platform(platform))

    def save_layout(
        self, names: str | Iterable[str], directory: str, *, platform: str | None = None
    ) -> None:
        """Write images as an OCI image layout into `directory`, which is made, or is empty.

        Raises as `save` does, and AlreadyExists where something is in the directory.
        """
        from proa.image.save import save_layout

        wanted = [names] if isinstance(names, str) else names
        save_layout(self._store, wanted, directory, platform=_platform(platform))

    def import_(
        self,
        source: Reader | bytes,
        reference: str | None = None,
        *,
        changes: Iterable[str] = (),
        message: str = "",
        platform: str | None = None,
    ) -> Image:
        """Make an image of a root file system in a tar archive, compressed or not.

        `changes`: instructions of a Dockerfile that set the image's defaults, such as
        `CMD ["sh"]`. `message` is the comment in its history. Raises InvalidArgument,
        CorruptData, HostileData, LimitExceeded, NoSpace.
        """
        from proa.image.import_rootfs import import_rootfs

        if isinstance(source, (bytes, bytearray, memoryview)):
            import io

            source = io.BytesIO(source)
        record = import_rootfs(
            self._store,
            source,
            reference=reference,
            changes=changes,
            message=message,
            platform=_platform(platform),
        )
        return Image(self._store, record)

    def bootstrap(self, name: str, *, progress: Callable[[str], None] = lambda _: None) -> Image:
        """Make a base image without any registry: busybox, debian:SUITE or ubuntu:SUITE.

        `progress` gets lines of what is being done. Raises InvalidArgument, Unsupported (says
        which package to install), Unavailable (the package sources do not answer), NoSpace.
        """
        from proa.image.bootstrap import bootstrap

        return Image(self._store, bootstrap(self._store, name, progress=progress))

    if TYPE_CHECKING:
        # what is returned depends on `all_tags`
        @overload
        def pull(
            self,
            repository: str,
            tag: str | None = None,
            all_tags: Literal[False] = False,
            *,
            platform: str | None = None,
            auth_config: Mapping[str, str] | None = None,
            progress: Callable[[Progress], None] | None = None,
        ) -> Image: ...

        @overload
        def pull(
            self,
            repository: str,
            tag: str | None = None,
            *,
            all_tags: Literal[True],
            platform: str | None = None,
            auth_config: Mapping[str, str] | None = None,
            progress: Callable[[Progress], None] | None = None,
        ) -> builtins_list[Image]: ...

    def pull(
        self,
        repository: str,
        tag: str | None = None,
        all_tags: bool = False,
        *,
        platform: str | None = None,
        auth_config: Mapping[str, str] | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Any:
        """Get an image from its registry; with `all_tags` a list of all those of a repository.

        `repository` may have a tag or a digest itself; `tag` may be a digest. `auth_config`:
        `username` and `password`, instead of what `proa login` has kept. `progress` is called
        with a Progress now and then, in any thread. Raises ImageNotFound, Unauthorized,
        Unavailable, TimedOut, CorruptData, HostileData, LimitExceeded, Unsupported, NoSpace.
        """
        found = [
            item.image
            for item in self.pull_each(
                repository,
                tag,
                all_tags=all_tags,
                platform=platform,
                auth_config=auth_config,
                progress=progress,
            )
        ]
        return found if all_tags else found[0]

    def pull_each(
        self,
        repository: str,
        tag: str | None = None,
        *,
        all_tags: bool = False,
        platform: str | None = None,
        auth_config: Mapping[str, str] | None = None,
        progress: Callable[[Progress], None] | None = None,
        pulled: Callable[[Pulled], None] = lambda _: None,
    ) -> builtins_list[Pulled]:
        """As `pull`, and tells more. `pulled` is called after each image."""
        from proa.engine.registries import pull

        return pull(
            self._store,
            repository,
            tag=tag,
            all_tags=all_tags,
            platform=platform,
            auth=auth_config,
            progress=progress,
            pulled=pulled,
        )

    def push(
        self,
        repository: str,
        tag: str | None = None,
        *,
        auth_config: Mapping[str, str] | None = None,
        stream: bool = False,
        decode: bool = False,
    ) -> Any:
        """Send an image to its registry; what was done, as docker-py gives it.

        Text with a JSON object in each line; with `stream` an iterator of the lines, with
        `decode` too of the objects. The work is done when this returns. Raises ImageNotFound,
        InvalidArgument, Unauthorized, Unavailable, TimedOut.
        """
        from proa.lean.json import dumps

        told: list[Progress] = []
        found = self.push_each(repository, tag, auth_config=auth_config, progress=told.append)
        documents = [notice.to_json() for notice in told]
        for item in found:
            name = item.reference.rpartition(":")[2]
            facts = {"Tag": name, "Digest": item.digest, "Size": item.size}
            documents += [
                {"status": f"{name}: digest: {item.digest} size: {item.size}"},
                {"progressDetail": {}, "aux": facts},
            ]
        if stream and decode:
            return iter(documents)
        lines = [dumps(document) + "\r\n" for document in documents]
        return iter([line.encode() for line in lines]) if stream else "".join(lines)

    def push_each(
        self,
        repository: str,
        tag: str | None = None,
        *,
        all_tags: bool = False,
        auth_config: Mapping[str, str] | None = None,
        progress: Callable[[Progress], None] | None = None,
        pushed: Callable[[Pushed], None] = lambda _: None,
    ) -> builtins_list[Pushed]:
        """As `push`, also for `all_tags` of a repository.

        `progress` is called with a Progress now and then, in any thread; `pushed` after each
        image.
        """
        from proa.engine.registries import push

        return push(
            self._store,
            repository,
            tag=tag,
            all_tags=all_tags,
            auth=auth_config,
            progress=progress,
            pushed=pushed,
        )

    def copy(
        self,
        source: str,
        target: str,
        *,
        platform: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> str:
        """Copy an image, an index with all it lists, or an artifact; the digest of its manifest.

        `source`, `target`: a reference in a registry (`docker://` before it may be left out),
        `oci:DIRECTORY[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:NAME]` (only from
        there), `store:NAME`. Nothing is unpacked, but what comes into the store. `platform`: of an
        index, only this one. Raises NotFound, ImageNotFound, CorruptData, Unauthorized,
        Unavailable, InvalidArgument, AlreadyExists.
        """
        from proa.engine.registries import copy

        return copy(self._store, source, target, platform=platform, progress=progress)

    def search(self, term: str, limit: int = 25) -> builtins_list[dict[str, Any]]:
        """The repositories of a registry that fit `term`, as Docker's API lists them.

        `term` may begin with a registry, `host:5000/tool`; else it is Docker's. Raises
        InvalidArgument, Unsupported (this registry cannot be searched), Unauthorized, Unavailable.
        """
        from proa.engine.registries import search
        from proa.lean.record import as_dict

        names = {"stars": "star_count"}
        return [
            {names.get(name, name): value for name, value in as_dict(item).items()}
            for item in search(term, limit)
        ]

    def build(
        self,
        path: str = ".",
        *,
        fileobj: Reader | None = None,
        tag: str | Sequence[str] = (),
        dockerfile: str | bytes = "",
        recipe: Recipe | None = None,
        target: str = "",
        buildargs: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        nocache: bool = False,
        platform: str | None = None,
        pull: bool = False,
        secrets: Mapping[str, bytes] | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        **more: Any,
    ) -> Image:
        """Build an image from the Dockerfile in the directory `path`.

        `path` may be the URL of a git repository, an archive or a Dockerfile, too; `fileobj`
        goes before it: an archive, or a Dockerfile alone. `tag`: its name or names. `dockerfile`:
        another path, or, as bytes, the Dockerfile itself. `recipe`: the same in Python, see
        `Image.from_`. `pull`: ask registries for images that are here already, too. `secrets`: by
        id, for `RUN --mount=type=secret`. `on_event` is called with what happens
        (`proa.build.events`), in any thread, one at a time. `more`: no_cache_filter, network,
        add_hosts, ssh, contexts, allow, explain, keep_failed, outputs; see
        `proa.engine.build.to_request`.

        Raises DockerfileError for what is wrong in it, BuildFailed for a step that did not
        succeed, ImageNotFound, InvalidArgument, NoSpace.
        """
        from proa.engine.build import build_image

        wanted = build_arguments(
            tag=tag,
            dockerfile=dockerfile if recipe is None else recipe.dockerfile,
            target=target,
            buildargs=buildargs,
            labels=labels,
            nocache=nocache,
            platform=platform,
            pull=pull,
            secrets=secrets,
            **more,
        )
        record = build_image(self._store, path, tell=on_event, stream=fileobj, **wanted)
        return Image(self._store, record)

    def tag(self, source: str, target: str) -> Image:
        """Let `target` mean the image `source`, whatever it meant before.

        Raises ImageNotFound, AmbiguousName, InvalidArgument.
        """
        from proa.image.tag import tag

        return Image(self._store, tag(self._store, source, target))

    def remove(
        self, name: str, *, force: bool = False, no_prune: bool = False
    ) -> list[dict[str, str]]:
        """Remove a name of an image; with its last name goes the image.

        What was done, in Docker's form: `{"Untagged": reference}`, `{"Deleted": digest}`.
        `force`: also where several repositories have it or a stopped container uses it.
        `no_prune` is taken for the sake of programs written for Docker: images have no parents
        here, their layers go with the last image that has them. Raises ImageNotFound,
        AmbiguousName, Conflict.
        """
        from proa.image.remove import remove

        del no_prune
        return remove(self._store, name, force=force, running=self._is_running)

    def prune(
        self,
        filters: Mapping[str, str | bool | Sequence[str]] | None = None,
        *,
        all: bool = False,
        unused_for: float = 0,
        keep_storage: int | None = None,
    ) -> dict[str, Any]:
        """Remove the images without a name, or `all` that no container uses.

        `filters`: label, until, dangling. `unused_for`: seconds for which no container of it was
        made or started. `keep_storage`: bytes that images may take together; those that were not
        used for longest go first. What was done, in Docker's form: `ImagesDeleted`,
        `SpaceReclaimed` in bytes. Raises InvalidArgument.
        """
        from proa.image.prune import prune

        wanted = {key: _values(value) for key, value in (filters or {}).items()}
        return prune(
            self._store,
            all=all,
            filters=wanted,
            unused_for=int(unused_for * 1_000_000_000),
            keep=keep_storage,
        )

    def prune_builds(
        self,
        *,
        all: bool = False,
        filters: Mapping[str, str | bool | Sequence[str]] | None = None,
        keep_storage: int = 0,
    ) -> dict[str, Any]:
        """Remove the steps of builds from the cache, with `all` what else builds keep, too.

        `filters`: until, unused-for, id, description. `keep_storage`: bytes of layers that stay.
        What was done, in Docker's form: `CachesDeleted`, `SpaceReclaimed`. Raises
        InvalidArgument.
        """
        from proa.build.prune import prune

        wanted = {key: _values(value) for key, value in (filters or {}).items()}
        return prune(self._store, all=all, filters=wanted, keep=keep_storage)

    def squash(self, name: str, *, base: str | None = None, reference: str | None = None) -> Image:
        """An image like `name` whose layers above those of the image `base` are one; without
        `base`, all of them. `reference`: what it is called.

        Raises ImageNotFound, InvalidArgument where `name` is not made on top of `base`, NoSpace.
        """
        from proa.image.squash import squash

        return Image(self._store, squash(self._store, name, base=base, reference=reference))

    def tree(self) -> list[dict[str, Any]]:
        """Which images share which layers, and what removing one would free.

        A list of trees. A node has `Layers` (diff IDs, in a row, the lowest first), their `Size`
        on disk, how many `Users` (images) they have, the `Images` that end there (`Id`,
        `RepoTags`, `Size`, `Freed`: bytes that removing it frees, `Containers`: how many keep it
        from that), and the nodes `Above` it.
        """
        from proa.image.tree import tree

        return [node.as_dict() for node in tree(self._store)]

    def history(self, name: str) -> list[dict[str, Any]]:
        """How an image was made; see `Image.history`."""
        return self.get(name).history()

    def inspect(self, name: str) -> dict[str, Any]:
        """All about an image, in the form of `docker image inspect`."""
        return self.get(name).attrs

    def list(
        self,
        name: str | None = None,
        *,
        all: bool = False,
        filters: Mapping[str, str | bool | Sequence[str]] | None = None,
    ) -> list[Image]:
        """The images, the newest first; those of the repository or pattern `name` only.

        `filters`: as `proa images --filter` has them. `all` is taken for the sake of programs
        written for Docker: there are no intermediate images. Raises InvalidArgument,
        ImageNotFound.
        """
        del all
        wanted = {key: _values(value) for key, value in (filters or {}).items()}
        if name is not None:
            wanted["reference"] = [*wanted.get("reference", ()), name]
        if not wanted:
            return [Image(self._store, record) for record in self._store.images.list()]
        from proa.image.listing import list_images

        return [Image(self._store, record) for record in list_images(self._store, wanted)]

    def _is_running(self, container: ContainerRow) -> bool:
        from proa.image.remove import is_running
        from proa.monitor.lock import MonitorLocks

        if not is_running(container):
            return False
        locks = MonitorLocks(self._store.root)
        try:
            # a row may say so of a container that died with the machine, or with its monitor
            return bool(locks.holder(container.row))
        finally:
            locks.close()


def build_arguments(
    *,
    tag: str | Sequence[str] = (),
    buildargs: Mapping[str, str] | None = None,
    nocache: bool = False,
    dockerfile: str | bytes = "",
    **more: Any,
) -> dict[str, Any]:
    """What `Images.build` is given, under the names that `engine.build` has for it."""
    return {
        "tags": [tag] if isinstance(tag, str) else list(tag),
        "build_args": dict(buildargs or {}),
        "no_cache": nocache,
        "dockerfile": dockerfile,
        **more,
    }


def open_images(store: Store) -> Images:
    """The images of `store`, for this process's user."""
    from proa.monitor.rootless import needed

    if not needed():
        return Images(store)
    from proa.engine.outside import OutsideImages

    return OutsideImages(store)


class Image:
    """An image of an engine. It never changes; its names are as of when it was looked up."""

    def __init__(
        self, store: Store, image: ImageRecord, tags: tuple[str, ...] | None = None
    ) -> None:
        self._store = store
        self._record = image
        self._tags = tags

    @staticmethod
    def from_(base: str | Recipe) -> Recipe:
        """The beginning of a recipe for a new image: `Image.from_("alpine").run("…")`."""
        from proa.engine.recipe import Recipe

        return Recipe.from_(base)

    def __repr__(self) -> str:
        return f"<Image {' '.join(self.tags) or self.short_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self._record.id)

    @property
    def id(self) -> Digest:
        """The digest of its config, `sha256:` and 64 hexadecimal digits."""
        return self._record.id

    @property
    def short_id(self) -> str:
        """The first twelve of the digits."""
        return self._record.id.short

    @property
    def tags(self) -> list[str]:
        """Its names as Docker shows them: `alpine:3.20`, `quay.io/me/tool:1`."""
        return list(self._record.tags if self._tags is None else self._tags)

    @property
    def digests(self) -> list[str]:
        """Its names by the digest of its manifest: `alpine@sha256:…`."""
        from proa.image.inspect import repository_digests

        return repository_digests(self._record)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict((self._record.config.get("config") or {}).get("Labels") or {})

    @property
    def size(self) -> int:
        """Bytes of its layers on disk."""
        return self._record.size

    @property
    def created(self) -> int:
        """When it was made, as its config says: nanoseconds since 1970; 0 where it does not."""
        return self._record.created

    @property
    def record(self) -> ImageRecord:
        """What the store has of it."""
        return self._record

    @property
    def summary(self) -> dict[str, Any]:
        """What a list shows of it, in the form of Docker's API (ImageSummary)."""
        from proa.image.inspect import summarize

        return summarize(self._store, self._record)

    @property
    def attrs(self) -> dict[str, Any]:
        """All about it, in the form of `docker image inspect`."""
        from proa.image.inspect import inspect

        return inspect(self._store, self._record)

    def squash(self, *, base: str | None = None, reference: str | None = None) -> Image:
        """An image like it with one layer above `base`, or in all. Raises as `Images.squash`."""
        return open_images(self._store).squash(self._record.id, base=base, reference=reference)

    def history(self) -> list[dict[str, Any]]:
        """The steps by which it was made, the last one first, in the form of Docker's API."""
        from proa.image.history import history

        return history(self._store, self._record)

    def reload(self) -> None:
        """Look again for its names. Raises ImageNotFound where it was removed."""
        self._record = self._store.images.resolve(self._record.id)
        self._tags = None

    def tag(self, repository: str, tag: str | None = None) -> bool:
        """Give it a further name, `repository` with `tag`; True.

        Raises InvalidArgument; ImageNotFound where it was removed.
        """
        from proa.image.tag import tag as give

        target = repository if tag is None else f"{repository}:{tag}"
        self._record = give(self._store, str(self._record.id), target)
        self._tags = None
        return True

    def save(self, *, named: bool | str = False, format: str = "docker-archive") -> Iterator[bytes]:
        """It as an archive, in pieces. `named`: with its first name, or with the one given.

        Raises ImageNotFound, InvalidArgument for a name that it does not have.
        """
        from proa.image.save import archive

        name: str = self._record.id
        if named:
            name = named if isinstance(named, str) else (self.tags or [name])[0]
            if self._store.images.resolve(name).id != self._record.id:
                raise InvalidArgument(f"{name!r} is not a name of image {self.short_id}")
        return archive(self._store, [name], format)

    def remove(self, *, force: bool = False, no_prune: bool = False) -> None:
        """Remove it with all of its names. Raises as `Images.remove` does."""
        open_images(self._store).remove(self._record.id, force=force, no_prune=no_prune)


def _platform(text: str | None) -> Platform | None:
    if not text:
        return None
    from proa.oci.platform import Platform

    return Platform.parse(text)


def _values(value: str | bool | Sequence[str]) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value] if isinstance(value, str) else list(value)
