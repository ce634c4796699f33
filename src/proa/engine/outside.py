"""The images of an ordinary user's engine, in a program that stays outside the user namespace.

What makes or removes layers is done by a process inside, which is given the archive by a pipe;
all else is as in `Images`. The functions at the end are what that process executes.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from proa.engine.images import Image, Images, Pulled, Pushed
from proa.errors import BuildFailed, DockerfileError
from proa.monitor.inside import call
from proa.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from proa.build.events import Event
    from proa.engine.images import Reader
    from proa.engine.recipe import Recipe
    from proa.image.progress import Progress
    from proa.oci.digest import Digest

_CHUNK = 1 << 20
_MODULE = "proa.engine.outside"


class OutsideImages(Images):
    """`Images` that has the user namespace do what needs it."""

    def load(
        self,
        source: Reader | bytes | str,
        *,
        platform: str | None = None,
        renamed: Callable[[str, Digest], None] = lambda _name, _id: None,
    ) -> list[Image]:
        """As `Images.load`."""
        arguments: dict[str, Any] = {"platform": platform}
        if isinstance(source, str):
            arguments["path"] = os.path.abspath(source)
            found = self._call("load", arguments, notify=lambda notice: renamed(*notice))
        else:
            found = self._call_with(
                "load", arguments, source, notify=lambda notice: renamed(*notice)
            )
        return [self._image(id, tuple(tags)) for id, tags in found]

    def import_(
        self,
        source: Reader | bytes,
        reference: str | None = None,
        *,
        changes: Iterable[str] = (),
        message: str = "",
        platform: str | None = None,
    ) -> Image:
        """As `Images.import_`."""
        arguments = {
            "reference": reference,
            "changes": list(changes),
            "message": message,
            "platform": platform,
        }
        return self._image(self._call_with("import_", arguments, source))

    def bootstrap(self, name: str, *, progress: Callable[[str], None] = lambda _: None) -> Image:
        """As `Images.bootstrap`."""
        return self._image(self._call("bootstrap", {"name": name}, notify=progress))

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
    ) -> list[Pulled]:
        """As `Images.pull_each`."""
        found = []

        def told(notice: Mapping[str, Any]) -> None:
            if "image" in notice:
                found.append(Pulled(**{**notice, "image": self._image(notice["image"])}))
                pulled(found[-1])
            elif progress is not None:
                from proa.image.progress import Progress

                progress(Progress(**notice))

        self._call(
            "pull",
            {
                "repository": repository,
                "tag": tag,
                "all_tags": all_tags,
                "platform": platform,
                "auth": None if auth_config is None else dict(auth_config),
            },
            notify=told,
        )
        return found

    def push_each(
        self,
        repository: str,
        tag: str | None = None,
        *,
        all_tags: bool = False,
        auth_config: Mapping[str, str] | None = None,
        progress: Callable[[Progress], None] | None = None,
        pushed: Callable[[Pushed], None] = lambda _: None,
    ) -> list[Pushed]:
        """As `Images.push_each`."""
        found = []

        def told(notice: Mapping[str, Any]) -> None:
            if "digest" in notice:
                found.append(Pushed(**notice))
                pushed(found[-1])
            elif progress is not None:
                from proa.image.progress import Progress

                progress(Progress(**notice))

        self._call(
            "push",
            {
                "repository": repository,
                "tag": tag,
                "all_tags": all_tags,
                "auth": None if auth_config is None else dict(auth_config),
            },
            notify=told,
        )
        return found

    def copy(
        self,
        source: str,
        target: str,
        *,
        platform: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> str:
        """As `Images.copy`."""

        def told(notice: Mapping[str, Any]) -> None:
            if progress is not None:
                from proa.image.progress import Progress

                progress(Progress(**notice))

        arguments = {"source": source, "target": target, "platform": platform}
        return str(self._call("copy", arguments, notify=told))

    def build(
        self,
        path: str = ".",
        *,
        fileobj: Reader | None = None,
        recipe: Recipe | None = None,
        on_event: Callable[[Event], None] = lambda _: None,
        **more: Any,
    ) -> Image:
        """As `Images.build`."""
        from proa.engine.build_inside import Listener, to_arguments
        from proa.engine.images import build_arguments

        if recipe is not None:
            more["dockerfile"] = recipe.dockerfile
        arguments = to_arguments(path, build_arguments(**more))
        listener = Listener(on_event)
        function = "proa.engine.build_inside:build"
        try:
            if fileobj is None:
                id = self._call(function, arguments, notify=listener)
            else:
                id = self._call_with(function, arguments, fileobj, notify=listener)
        except (BuildFailed, DockerfileError) as error:
            listener.complete(error)
            raise
        return self._image(id)

    def prune_builds(
        self,
        *,
        all: bool = False,
        filters: Mapping[str, str | bool | Sequence[str]] | None = None,
        keep_storage: int = 0,
    ) -> dict[str, Any]:
        """As `Images.prune_builds`."""
        done: dict[str, Any] = self._call(
            "prune_builds",
            {"all": all, "filters": dict(filters or {}), "keep_storage": keep_storage},
        )
        return done

    def remove(
        self, name: str, *, force: bool = False, no_prune: bool = False
    ) -> list[dict[str, str]]:
        """As `Images.remove`."""
        del no_prune
        done: list[dict[str, str]] = self._call("remove", {"name": name, "force": force})
        return done

    def prune(
        self,
        filters: Mapping[str, str | bool | Sequence[str]] | None = None,
        *,
        all: bool = False,
        unused_for: float = 0,
        keep_storage: int | None = None,
    ) -> dict[str, Any]:
        """As `Images.prune`."""
        arguments = {"unused_for": unused_for, "keep_storage": keep_storage}
        done: dict[str, Any] = self._call(
            "prune", {"all": all, "filters": dict(filters or {}), **arguments}
        )
        return done

    def squash(self, name: str, *, base: str | None = None, reference: str | None = None) -> Image:
        """As `Images.squash`."""
        arguments = {"name": name, "base": base, "reference": reference}
        return self._image(self._call("squash", arguments))

    def _image(self, id: str, tags: tuple[str, ...] | None = None) -> Image:
        return Image(self._store, self._store.images.resolve(id), tags)

    def _call(self, function: str, arguments: dict[str, Any], **more: Any) -> Any:
        place = function if ":" in function else f"{_MODULE}:{function}"
        return call(place, {"root": self._store.root, **arguments}, **more)

    def _call_with(
        self, function: str, arguments: dict[str, Any], source: Reader | bytes, **more: Any
    ) -> Any:
        """As `_call`, with `source` as the descriptor of a pipe."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        pump = _Pump(source, writer)
        try:
            return self._call(function, arguments, descriptors=[reader], **more)
        except Exception:
            # an archive that ends too early may be one that could not be read further
            if pump.failure is not None:
                raise pump.failure from None
            raise
        finally:
            # what it did not want to read has nowhere to go: the thread ends by itself
            os.close(reader)


class _Pump(threading.Thread):
    """Copies an archive into a pipe, and closes it."""

    def __init__(self, source: Reader | bytes, sink: int) -> None:
        super().__init__(name="proa-archive", daemon=True)
        self._source = source
        self._sink = sink
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        with open(self._sink, "wb", buffering=0) as sink:
            try:
                for piece in self._pieces():
                    view = memoryview(piece)
                    while view:
                        view = view[sink.write(view) or 0 :]
            except BrokenPipeError:
                return  # it has read as much as it needed
            except BaseException as error:
                self.failure = error  # known before the pipe's end can be seen

    def _pieces(self) -> Iterable[bytes]:
        if isinstance(self._source, (bytes, bytearray, memoryview)):
            yield bytes(self._source)
            return
        while piece := self._source.read(_CHUNK):
            yield piece


def load(
    root: str,
    platform: str | None,
    notify: Callable[[Any], None],
    path: str | None = None,
    descriptors: Sequence[int] = (),
) -> list[tuple[str, list[str]]]:
    """Inside: load; id and names of each image."""

    def renamed(name: str, former: Digest) -> None:
        notify([name, str(former)])

    images = Images(Store.open(root))
    if path is not None:
        found = images.load(path, platform=platform, renamed=renamed)
    else:
        with open(descriptors[0], "rb", buffering=0) as source:
            found = images.load(source, platform=platform, renamed=renamed)
    return [(str(image.id), image.tags) for image in found]


def import_(root: str, descriptors: Sequence[int], **arguments: Any) -> str:
    """Inside: import; the image's id."""
    with open(descriptors[0], "rb", buffering=0) as source:
        return str(Images(Store.open(root)).import_(source, **arguments).id)


def bootstrap(root: str, name: str, notify: Callable[[Any], None]) -> str:
    """Inside: bootstrap; the image's id."""
    return str(Images(Store.open(root)).bootstrap(name, progress=notify).id)


def pull(root: str, repository: str, notify: Callable[[Any], None], **arguments: Any) -> None:
    """Inside: pull; each notice, and each image, is passed on as it comes."""
    from proa.engine.registries import pull as work

    told = _passing(notify)
    work(Store.open(root), repository, progress=told, pulled=told, **arguments)


def push(root: str, repository: str, notify: Callable[[Any], None], **arguments: Any) -> None:
    """Inside: push, in the same way."""
    from proa.engine.registries import push as work

    told = _passing(notify)
    work(Store.open(root), repository, progress=told, pushed=told, **arguments)


def copy(root: str, notify: Callable[[Any], None], **arguments: Any) -> str:
    """Inside: copy; the digest."""
    from proa.engine.registries import copy as work

    return work(Store.open(root), progress=_passing(notify), **arguments)


def _passing(notify: Callable[[Any], None]) -> Callable[[Progress | Pulled | Pushed], None]:
    from proa.lean.record import as_dict

    # several layers are on their way at a time
    lock = threading.Lock()

    def told(notice: Progress | Pulled | Pushed) -> None:
        message = as_dict(notice)
        if isinstance(notice, Pulled):
            message["image"] = str(notice.image.id)
        with lock:
            notify(message)

    return told


def remove(root: str, name: str, force: bool) -> list[dict[str, str]]:
    """Inside: remove."""
    return Images(Store.open(root)).remove(name, force=force)


def prune_builds(root: str, **arguments: Any) -> dict[str, Any]:
    """Inside: prune_builds."""
    return Images(Store.open(root)).prune_builds(**arguments)


def squash(root: str, name: str, base: str | None, reference: str | None) -> str:
    """Inside: squash; the image's id."""
    return str(Images(Store.open(root)).squash(name, base=base, reference=reference).id)


def prune(root: str, filters: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    """Inside: prune."""
    return Images(Store.open(root)).prune(filters, **arguments)
