"""Which networks match the filters of `network ls` and `network prune`."""

from __future__ import annotations

from proa.engine.network import PREDEFINED
from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proa.store.networks import NetworkRow
    from proa.store.store import Store

LIST = ("dangling", "driver", "id", "label", "name", "scope", "type")
PRUNE = ("label", "label!", "until")


def matching(
    store: Store, rows: Sequence[NetworkRow], filters: Mapping[str, Sequence[str]]
) -> list[NetworkRow]:
    """Those that match one value of each filter, and all of `label`. Raises InvalidArgument."""
    for name, values in filters.items():
        if name not in LIST:
            raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(LIST)}")
        for value in values:
            if name == "type" and value not in ("custom", "builtin"):
                raise InvalidArgument(f"invalid filter: 'type'='{value}'; say custom or builtin")
            if name == "dangling" and value not in ("true", "1", "false", "0"):
                raise InvalidArgument(f"invalid filter 'dangling={value}'; say true or false")
    used = _used(store) if "dangling" in filters else frozenset()
    return [row for row in rows if _matches(row, filters, used)]


def _matches(row: NetworkRow, filters: Mapping[str, Sequence[str]], used: frozenset[str]) -> bool:
    custom = row.name not in PREDEFINED
    for name, values in filters.items():
        if name == "label":
            if not all(_has_label(row, value) for value in values):
                return False
            continue
        found = {
            "driver": lambda value: row.driver == value,
            "id": row.id.startswith,
            "name": lambda value: value in row.name,
            "scope": lambda value: value == "local",
            "type": lambda value: custom == (value == "custom"),
            "dangling": lambda value: (custom and row.name not in used) == (value in ("true", "1")),
        }[name]
        if not any(map(found, values)):
            return False
    return True


def unused(store: Store, filters: Mapping[str, Sequence[str]]) -> list[NetworkRow]:
    """The networks that `prune` removes: those that no container, running or not, refers to.

    Raises InvalidArgument.
    """
    from proa.image.listing import moment

    for name in filters:
        if name not in PRUNE:
            raise InvalidArgument(f"invalid filter '{name}'; there are {', '.join(PRUNE)}")
    until = [moment(value) for value in filters.get("until", ())]
    used = _used(store)
    return [
        row
        for row in store.networks.list()
        if row.name not in PREDEFINED
        and row.name not in used
        and all(row.created < limit for limit in until)
        and all(_has_label(row, value) for value in filters.get("label", ()))
        and not any(_has_label(row, value) for value in filters.get("label!", ()))
    ]


def _used(store: Store) -> frozenset[str]:
    """The names of the networks that containers refer to."""
    return frozenset(
        item["network"]
        for row in store.containers.list()
        for item in row.config["request"].get("networks", ())
    )


def _has_label(row: NetworkRow, wanted: str) -> bool:
    name, equals, value = wanted.partition("=")
    labels = row.config.get("labels") or {}
    return name in labels and (not equals or labels[name] == value)
