"""`image tree`: which images share which layers."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import write
from proa.cli.table import layout
from proa.cli.units import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from proa.cli.command import Session
    from proa.cli.flags import Values

_TITLES = ("IMAGE", "LAYERS", "SIZE", "SHARED BY", "REMOVING FREES")


def _tree(session: Session, values: Values, _arguments: list[str]) -> int:
    form = values.text("format", "table")
    nodes = session.engine.images.tree()
    if form == "json":
        import json

        write(json.dumps(nodes, indent=4) + "\n")
    elif form == "table":
        rows = [row for node in nodes for row in _rows(node, "", "")]
        write(layout([_TITLES, *rows]))
    else:
        raise UsageError(f"unknown format {form!r}: say table or json")
    return 0


def _rows(node: dict[str, Any], first: str, then: str) -> Iterator[Sequence[str]]:
    """The lines of a node and of what is above it: `first` is before the node, `then` before all
    that follows.
    """
    layers = len(node["Layers"])
    users = node["Users"]
    cells = (
        f"{layers} {node['Layers'][0].partition(':')[2][:12]}" if layers else "0",
        decimal_size(node["Size"]),
        f"{users} images" if users > 1 else "-",
    )
    images = node["Images"]
    for number, image in enumerate(images or [None]):
        name = "(no image)" if image is None else _name(image)
        shown = cells if number == 0 else ("", "", "")
        yield (f"{first if number == 0 else then}{name}", *shown, _freed(image))
    above = node["Above"]
    for number, child in enumerate(above):
        is_last = number == len(above) - 1
        yield from _rows(
            child,
            then + ("└─ " if is_last else "├─ "),
            then + ("   " if is_last else "│  "),
        )


def _name(image: dict[str, Any]) -> str:
    id = image["Id"].partition(":")[2][:12]
    return ", ".join(image["RepoTags"]) or f"<none> {id}"


def _freed(image: dict[str, Any] | None) -> str:
    if image is None:
        return ""
    freed = decimal_size(image["Freed"])
    count = image["Containers"]
    if not count:
        return freed
    return f"{freed} ({count} container{'s' if count > 1 else ''})"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show which images share which layers, and what removing one would free",
    run=_tree,
    flags=(("format", "", "string", "Show it as 'table' or 'json'"),),
    maximum=0,
)
