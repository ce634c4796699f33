"""What an engine does with registries: pull, push, log in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.distribution.client import Client
from proa.distribution.credentials import Credentials, CredentialStore
from proa.distribution.settings import Settings
from proa.engine.images import Image, Pulled, Pushed
from proa.errors import InvalidArgument
from proa.lean.record import replace
from proa.oci.digest import Digest
from proa.oci.platform import Platform
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from proa.distribution.search import Found
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
    from proa.image import pull as pulling

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


def push(
    store: Store,
    repository: str,
    *,
    tag: str | None = None,
    all_tags: bool = False,
    auth: Mapping[str, str] | None = None,
    progress: Callable[[Progress], None] | None = None,
    pushed: Callable[[Pushed], None] = lambda _: None,
) -> list[Pushed]:
    """Push; see `Images.push_each`."""
    from proa.image import push as pushing

    reference = reference_of(repository, tag)
    tell = progress or (lambda _: None)
    found = []

    def done(item: pushing.Pushed) -> None:
        result = Pushed(item.reference.familiar, item.digest, item.size)
        found.append(result)
        pushed(result)

    if all_tags and (reference.tag is not None or reference.digest is not None):
        raise InvalidArgument("tag can't be used with --all-tags/-a")
    with client(auth) as registries:
        if all_tags:
            pushing.push_all(store, registries, reference, progress=tell, pushed=done)
        else:
            done(pushing.push(store, registries, reference, progress=tell))
    return found


def login(registry: str | None, username: str, password: str) -> str:
    """Try credentials and keep them; where they are kept. See `Engine.login`."""
    from proa.distribution.login import server_of, verify

    domain, path = server_of(registry)
    kept = verify(domain, path, Credentials(username, password))
    return CredentialStore().put(f"{domain}/{path}" if path else domain, kept)


def verify_login(registry: str | None, username: str, password: str) -> None:
    """Try credentials, and keep nothing. See `Engine.verify_login`."""
    from proa.distribution.login import server_of, verify

    domain, path = server_of(registry)
    verify(domain, path, Credentials(username, password))


def describe_remote(name: str, auth: Mapping[str, str] | None) -> dict[str, Any]:
    """What a registry has under a name; see `Engine.describe_remote`."""
    from proa.image.places import RegistryPlace
    from proa.lean.json import loads
    from proa.oci import media_types

    with client(auth) as registries:
        reference = Reference.parse(name).with_default_tag()
        content = RegistryPlace(registries, reference).root()
        platforms: list[dict[str, Any]] = []
        if content.media_type in media_types.INDEXES:
            listed = loads(content.data).get("manifests") or ()
            platforms = [item["platform"] for item in listed if item.get("platform")]
    return {
        "Descriptor": {
            "mediaType": content.media_type,
            "digest": str(content.digest),
            "size": len(content.data),
        },
        "Platforms": platforms,
    }


def known_login(registry: str | None) -> str | None:
    """The user that is logged in to a registry already, if the credentials still hold.

    Raises Unauthorized, Unavailable.
    """
    from proa.distribution.login import server_of, verify

    domain, path = server_of(registry)
    credentials = CredentialStore().get(domain, path)
    if credentials is None:
        return None
    verify(domain, path, credentials)
    return credentials.username


def logout(registry: str | None) -> tuple[str, bool]:
    """Forget credentials; the registry's name, and whether there were any."""
    from proa.distribution.login import server_of

    domain, path = server_of(registry)
    name = f"{domain}/{path}" if path else domain
    return name, CredentialStore().forget(name)


def copy(
    store: Store,
    source: str,
    target: str,
    *,
    platform: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> str:
    """Copy from place to place; see `Images.copy`."""
    from contextlib import ExitStack

    from proa.image import copy as copying

    wanted = Platform.parse(platform) if platform else None
    tell = progress or (lambda _: None)
    transport, rest = copying.split(target)
    with client() as registries, ExitStack() as stack:
        origin = copying.open_source(stack, store, registries, source)
        if transport == "store":
            record = copying.copy_to_store(
                origin, store, Reference.parse(rest), platform=wanted, progress=tell
            )
            return str(record.manifest)
        sink = copying.open_sink(stack, registries, target)
        return str(copying.copy(origin, sink, platform=wanted, progress=tell))


def search(term: str, limit: int = 25) -> list[Found]:
    """The repositories of a registry that fit `term`; see `Images.search`."""
    from proa.distribution import search as searching

    with client() as registries:
        return searching.search(registries, term, limit)
