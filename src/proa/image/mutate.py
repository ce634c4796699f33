"""New images from old ones: views that differ in one respect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.image.view import Image
from proa.lean import clock
from proa.oci.image_config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from proa.image.view import Layer
    from proa.oci.platform import Platform


def empty_image(platform: Platform) -> Image:
    """The image with no layers: where all others begin (`FROM scratch`)."""
    document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        document["variant"] = platform.variant
    document.update(config={}, rootfs={"type": "layers", "diff_ids": []}, history=[])
    return Image(ImageConfig.build(document), ())


def append_layer(image: Image, layer: Layer, history: Mapping[str, Any]) -> Image:
    """`image` with `layer` on top; `history` tells how it came to be (image-spec, config.md)."""
    document = dict(image.config.document)
    document["rootfs"] = {
        "type": "layers",
        "diff_ids": [*map(str, image.config.diff_ids), str(layer.diff_id)],
    }
    document["history"] = [*image.config.history, dict(history)]
    document["created"] = history.get("created") or clock.now()
    return Image(ImageConfig.build(document), (*image.layers, layer))


def with_defaults(
    image: Image, defaults: Mapping[str, Any], history: Mapping[str, Any] | None = None
) -> Image:
    """`image` with another `config` member: what its containers have where nobody says more.

    `history` is added where it is given; it should say `empty_layer`.
    """
    document = {**image.config.document, "config": dict(defaults)}
    if history is not None:
        document["history"] = [*image.config.history, dict(history)]
        document["created"] = history.get("created") or clock.now()
    return Image(ImageConfig.build(document), image.layers)


def with_config(image: Image, **members: Any) -> Image:
    """`image` with other top-level members in its config, such as `author` or `created`."""
    return Image(ImageConfig.build({**image.config.document, **members}), image.layers)
