"""The filters of `proa ps --filter`."""

from __future__ import annotations

import re

from proa.errors import ImageNotFound, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proa.engine.containers import ContainerSummary
    from proa.store.store import Store

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")


def matching(
    found: list[ContainerSummary], filters: Mapping[str, Sequence[str]], store: Store
) -> list[ContainerSummary]:
    """Those of `found` that pass: of one filter's values any, of all filters each.

    Labels are the exception, as with Docker: all of them must be there.
    Raises InvalidArgument for an unknown filter or value, NotFound for an unknown container.
    """
    for name, values in filters.items():
        test = _test(name, values, store)
        found = [item for item in found if test(item)]
    return found


def _test(name: str, values: Sequence[str], store: Store) -> Callable[[ContainerSummary], bool]:
    match name:
        case "id":
            return lambda item: any(re.search(value, item.id) for value in values)
        case "name":
            return lambda item: any(
                re.search(value.removeprefix("/"), item.name) for value in values
            )
        case "label":
            return lambda item: all(_has_label(item, value) for value in values)
        case "status":
            if unknown := set(values) - set(STATES):
                raise InvalidArgument(
                    f"invalid filter 'status={min(unknown)}'; there are {', '.join(STATES)}"
                )
            return lambda item: item.state in values
        case "exited":
            codes = {_number(value) for value in values}
            return lambda item: item.state == "exited" and item.exit_code in codes
        case "ancestor":
            images = {image for value in values for image in _descendants(store, value)}
            return lambda item: item.image_id in images
        case "before" | "since":
            return _by_age(name, values, store)
        case "network":
            # without --network there is none, as long as there are no bridges
            return lambda item: any(
                value in item.networks or (value == "none" and "default" in item.networks)
                for value in values
            )
        case "volume":
            return lambda item: any(value in item.mounts for value in values)
        case "health":
            return lambda item: (item.health or "none") in values
        case "publish" | "expose" | "is-task":
            return lambda _item: name == "is-task" and "false" in values
    raise InvalidArgument(f"invalid filter '{name}'")


def _has_label(item: ContainerSummary, wanted: str) -> bool:
    name, separator, value = wanted.partition("=")
    return name in item.labels and (not separator or item.labels[name] == value)


def _number(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise InvalidArgument(f"invalid filter 'exited={value}'; give an exit code") from None


def _descendants(store: Store, name: str) -> set[str]:
    """Ids of the images whose layers begin with those of the named one."""
    try:
        base = store.images.resolve(name)
    except (ImageNotFound, InvalidArgument):
        return set()
    return {
        str(image.id)
        for image in store.images.list()
        if image.id == base.id or (base.layers and image.layers[: len(base.layers)] == base.layers)
    }


def _by_age(name: str, values: Sequence[str], store: Store) -> Callable[[ContainerSummary], bool]:
    try:
        moments = [store.containers.find(value).created for value in values]
    except NotFound as error:
        raise NotFound(f"filter {name}: {error}") from None
    if name == "before":
        return lambda item: item.created < min(moments)
    return lambda item: item.created > max(moments)
