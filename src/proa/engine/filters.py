"""The filters of `proa ps --filter`."""

from __future__ import annotations

import re

from proa.errors import ImageNotFound, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from proa.engine.containers import ContainerSummary
    from proa.store.store import Store

HEALTH = ("starting", "healthy", "unhealthy", "none")
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
            ids = [_pattern(name, value) for value in values]
            return lambda item: any(pattern.search(item.id) for pattern in ids)
        case "name":
            patterns = [_pattern(name, value) for value in values]
            # Docker's names begin with a slash, and people write `^/web$` as well as `^web$`
            return lambda item: any(
                pattern.search(item.name) or pattern.search(f"/{item.name}") for pattern in patterns
            )
        case "label":
            return lambda item: all(has_label(item, value) for value in values)
        case "status":
            _check(name, values, STATES)
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
            names = {_network(store, value) for value in values}
            return lambda item: not names.isdisjoint(item.networks)
        case "volume":
            return lambda item: any(
                value in item.mounts or value.rstrip("/") in item.targets for value in values
            )
        case "health":
            _check(name, values, HEALTH)
            return lambda item: (item.health or "none") in values
        case "expose":
            ranges = [_ports(name, value) for value in values]
            return lambda item: any(
                _in_range(port, wanted) for port in item.exposed_ports for wanted in ranges
            )
        case "publish":
            published = [_ports(name, value) for value in values]
            return lambda item: any(
                _in_range(f"{port}/{protocol}", wanted)
                for port, protocol, _, _ in item.ports
                for wanted in published
            )
        case "is-task":
            _check(name, values, ("true", "false", "1", "0"))
            # no container is a task: there is no swarm
            return lambda _item: "false" in values or "0" in values
    raise InvalidArgument(f"invalid filter '{name}'")


def _network(store: Store, text: str) -> str:
    """The name of a network that is given by name or id."""
    try:
        return store.networks.find(text).name
    except (NotFound, InvalidArgument):
        return text


def _check(name: str, values: Sequence[str], known: Sequence[str]) -> None:
    if unknown := set(values) - set(known):
        raise InvalidArgument(
            f"invalid filter '{name}={min(unknown)}'; there are {', '.join(known)}"
        )


def _pattern(name: str, value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise InvalidArgument(
            f"invalid filter '{name}={value}': not a regular expression ({error})"
        ) from None


def _ports(name: str, value: str) -> tuple[int, int, str]:
    """`80`, `80/udp`, `8000-8080/tcp`: first, last, protocol. Raises InvalidArgument."""
    numbers, _, protocol = value.partition("/")
    first, dash, last = numbers.partition("-")
    ends = (first, last) if dash else (first, first)
    if not all(end.isascii() and end.isdigit() and int(end) <= 65535 for end in ends) or (
        protocol not in ("", "tcp", "udp", "sctp")
    ):
        raise InvalidArgument(
            f"invalid filter '{name}={value}': write a port as 80, 80/tcp or 8000-8080/udp"
        )
    return int(ends[0]), int(ends[1]), protocol or "tcp"


def _in_range(port: str, wanted: tuple[int, int, str]) -> bool:
    number, _, protocol = port.partition("/")
    return wanted[0] <= int(number) <= wanted[1] and (protocol or "tcp") == wanted[2]


def has_label(item: ContainerSummary, wanted: str) -> bool:
    """Whether it has the label `name` or `name=value`."""
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
