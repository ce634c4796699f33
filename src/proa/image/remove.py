"""Removing names of images, and images with their last name, as Docker does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import Conflict, ImageNotFound, InvalidArgument
from proa.image.work import Work
from proa.oci.digest import is_hex
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from proa.store.containers import ContainerRow
    from proa.store.images import ImageRecord
    from proa.store.store import Store

_RUNNING = ("running", "paused", "restarting", "removing")


def is_running(container: ContainerRow) -> bool:
    """Whether its row says that it runs."""
    return container.state.get("status") in _RUNNING


def remove(
    store: Store,
    name: str,
    *,
    force: bool = False,
    running: Callable[[ContainerRow], bool] = is_running,
) -> list[dict[str, str]]:
    """Remove the name `name`; with its last name goes the image, and what only it consisted of.

    What was done, in Docker's form: `{"Untagged": reference}`, `{"Deleted": digest}`. `force`:
    also where several repositories have it, or a container that does not run uses it. The
    layers of such a container stay. Raises ImageNotFound, AmbiguousName, Conflict.
    """
    with Work(store, "remove") as work:
        with store.database.transaction(durable=True):
            image = store.images.resolve(name)
            events = _Removal(store, image, force, running).run(_named(image, name), name)
        work.done(leftovers=any("Deleted" in event for event in events))
    if work.collected is not None:
        events += [{"Deleted": diff_id} for diff_id in work.collected.layers]
    return events


def _named(image: ImageRecord, name: str) -> str | None:
    """The reference of `image` that `name` is; None where it is an id."""
    try:
        reference = Reference.parse(name).with_default_tag()
    except InvalidArgument:
        return None
    if reference.digest is not None:
        # the digest decides, whatever tag stands before it
        pinned = f"{reference.repository}@{reference.digest}"
        if pinned in image.references:
            return pinned
        reference = reference.without_digest()
        return str(reference) if str(reference) in image.references else None
    if str(reference) in image.references:
        return str(reference)
    if not is_hex(name.removeprefix("sha256:")):
        raise ImageNotFound(f"no such image: {name}; see 'proa images'")
    return None


class _Removal:
    def __init__(
        self,
        store: Store,
        image: ImageRecord,
        force: bool,
        running: Callable[[ContainerRow], bool],
    ) -> None:
        self._store = store
        self._image = image
        self._force = force
        self._users = store.containers.using(image.id)
        self._running = [user for user in self._users if running(user)]
        self._events: list[dict[str, str]] = []

    def run(self, reference: str | None, given: str) -> list[dict[str, str]]:
        if reference is None:
            problem = self._problem(named_by_id=True)
            if problem is not None:
                raise problem
            self._delete()
            return self._events
        if self._users and not self._force and _is_single(self._image.references):
            raise Conflict(
                f'conflict: unable to remove repository reference "{given}" (must'
                f" force) - container {self._users[0].id[:12]} is using its referenced image"
                f" {self._image.id.short}"
            )
        left = [text for text in self._image.references if text != reference]
        self._untag(reference)
        same = [text for text in left if _repository(text) == _repository(reference)]
        if "@" not in reference and all("@" in text for text in same):
            # the digests of a repository go with the last of its tags
            for text in same:
                self._untag(text)
                left.remove(text)
        # a name was removed: an image that cannot go stays without one, and that is no error
        if not left and self._problem(named_by_id=False) is None:
            self._delete()
        return self._events

    def _problem(self, *, named_by_id: bool) -> Conflict | None:
        """Why the image must stay; None where it need not."""
        if self._running:
            return self._conflict(
                "cannot be forced",
                f"image is being used by running container {self._running[0].id[:12]}",
            )
        if self._force:
            return None
        if named_by_id and not _is_single(self._image.references):
            return self._conflict("must be forced", "image is referenced in multiple repositories")
        if self._users:
            return self._conflict(
                "must be forced",
                f"image is being used by stopped container {self._users[0].id[:12]}",
            )
        return None

    def _delete(self) -> None:
        for text in self._store.images.resolve(self._image.id).references:
            self._untag(text)
        self._store.images.delete(self._image.id)
        self._note("delete", str(self._image.id))
        self._events.append({"Deleted": str(self._image.id)})

    def _untag(self, reference: str) -> None:
        self._store.images.forget(reference)
        self._note("untag", _familiar(reference))
        self._events.append({"Untagged": _familiar(reference)})

    def _note(self, action: str, name: str) -> None:
        self._store.images.note(action, self._image.id, self._image.config, name)

    def _conflict(self, how: str, why: str) -> Conflict:
        return Conflict(f"conflict: unable to delete {self._image.id.short} ({how}) - {why}")


def _is_single(references: Sequence[str]) -> bool:
    """Whether there is one tag at most, digests of its repository not counted."""
    if len(references) <= 1:
        return True
    tags = [text for text in references if "@" not in text]
    return len(tags) <= 1 and len({_repository(text) for text in references}) == 1


def _repository(reference: str) -> str:
    return Reference.parse(reference).repository


def _familiar(reference: str) -> str:
    return Reference.parse(reference).familiar
