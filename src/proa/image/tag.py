"""Giving an image another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import InvalidArgument
from proa.oci.reference import Reference

if TYPE_CHECKING:
    from proa.store.images import ImageRecord
    from proa.store.store import Store


def tag(store: Store, source: str, target: str) -> ImageRecord:
    """Let `target` mean the image that `source` means, whatever it meant before.

    Raises ImageNotFound, AmbiguousName, InvalidArgument.
    """
    reference = target_reference(target)
    with store.database.transaction(durable=True):
        image = store.images.resolve(source)
        store.images.refer(str(reference), image.id)
        store.images.note("tag", image.id, image.config, reference.familiar)
    return store.images.resolve(image.id)


def target_reference(text: str) -> Reference:
    """The reference that an image is to get; without a tag it is `latest`.

    Raises InvalidArgument.
    """
    reference = Reference.parse(text).with_default_tag()
    if reference.digest is not None:
        raise InvalidArgument(
            f"refusing to create a tag with a digest reference: {text[:300]!r};"
            " leave the digest out"
        )
    if reference.familiar_name in ("sha256", "sha512"):
        raise InvalidArgument(
            "refusing to create an ambiguous tag using digest algorithm as name:"
            f" {text[:300]!r}; take another name"
        )
    return reference
