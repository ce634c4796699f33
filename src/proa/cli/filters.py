"""`--filter name=value`, given once or several times."""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.cli.flags import Values


def filters(values: Values, known: Iterable[str]) -> dict[str, list[str]]:
    """The values by the filter's name. Raises InvalidArgument for one that is none of `known`."""
    found: dict[str, list[str]] = {}
    for text in values.texts("filter"):
        name, _, value = text.partition("=")
        name = name.strip().lower()
        if name not in known:
            from proa.lean.suggest import nearest

            best = nearest(name, known) if name else ""
            hint = f"did you mean {best}?" if best else f"there are {', '.join(sorted(known))}"
            # as with Docker, whose engine says so and not its command: exit code 1
            raise InvalidArgument(f"invalid filter '{name}'; {hint}")
        found.setdefault(name, []).append(value.strip())
    return found
