"""What an engine does with registries: pull."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.distribution.client import Client
from proa.distribution.credentials import Credentials
from proa.distribution.settings import Settings
from proa.engine.images import Image, Pulled
from proa.errors import InvalidArgument
from proa.image import pull as pulling
from proa.lean.record import replace
from proa.oci.digest import Digest
from proa.oci.platform import Platform
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proa.image.progress import Progress
    from proa.store.store import Store


def client(auth: Mapping[str, str] | None = None, *, insecure: Iterable[str] = ()) -> Client:
    """A client of this user's; `auth`: `username` and `password`, or `identitytoken`."""
    credentials = None
    if auth:
        credentials = Credentials(
            auth.get("username", ""),
            auth.get("password", ""),
            auth.get("identitytoken", ""),
            auth.get("registrytoken", ""),
        )
    return Client(settings=Settings.load(insecure=insecure), credentials=credentials)


def reference_of(repository: str, tag: str | None) -> Reference:
    """The reference that docker-py's two arguments mean; `tag` may be a digest.

    Raises InvalidArgument.
    """
    reference = Reference.parse(repository)
    if not tag:
        return reference
    if ":" in tag:
        return replace(reference, digest=Digest(tag))
    return Reference.parse(f"{reference.repository}:{tag}")


def pull(
    store: Store,
    repository: str,
    *,
    tag: str | None = None,
    all_tags: bool = False,
    platform: str | None = None,
    auth: Mapping[str, str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    pulled: Callable[[Pulled], None] = lambda _: None,
) -> list[Pulled]:
    """Pull; see `Images.pull_each`."""
    reference = reference_of(repository, tag)
    wanted = Platform.parse(platform) if platform else None
    tell = progress or (lambda _: None)
    found = []

    def done(item: pulling.Pulled) -> None:
        result = Pulled(
            Image(store, item.image), item.reference.familiar, item.digest, item.is_newer
        )
        found.append(result)
        pulled(result)

    if all_tags and (reference.tag is not None or reference.digest is not None):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    with client(auth) as registries:
        if all_tags:
            pulling.pull_all(store, registries, reference, wanted, progress=tell, pulled=done)
        else:
            done(pulling.pull(store, registries, reference, wanted, progress=tell))
    return found
