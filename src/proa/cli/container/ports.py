"""Published ports as the list of containers shows them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Published = tuple[int, str, str, int]


def ports(published: Iterable[Published], exposed: Iterable[str]) -> str:
    """`0.0.0.0:8080->80/tcp, 443/tcp`; neighbours are drawn together: `0.0.0.0:80-81->80-81/tcp`.

    `published`: (container's port, protocol, host's address, host's port). `exposed`: `443/tcp`.
    """
    groups: list[list[Published]] = []
    ordered = sorted(
        published, key=lambda item: (":" in item[2], item[2], item[1], item[0], item[3])
    )
    for item in ordered:
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and (item[2], item[1]) == (last[2], last[1])
            and (item[0], item[3]) == (last[0] + 1, last[3] + 1)
        ):
            groups[-1].append(item)
        else:
            groups.append([item])
    shown = [(group[0][0], _group(group)) for group in groups]
    known = {(item[0], item[1]) for item in ordered}
    free: list[list[tuple[int, str]]] = []
    for number, protocol in sorted(map(_split, exposed), key=lambda item: (item[1], item[0])):
        if (number, protocol) in known:
            continue
        if free and free[-1][-1] == (number - 1, protocol):
            free[-1].append((number, protocol))
        else:
            free.append([(number, protocol)])
    for group in free:
        shown.append((group[0][0], f"{_range(group[0][0], group[-1][0])}/{group[0][1]}"))
    return ", ".join(text for _, text in sorted(shown, key=lambda item: item[0]))


def _group(group: list[Published]) -> str:
    first, last = group[0], group[-1]
    address = f"[{first[2]}]" if ":" in first[2] else first[2]
    outside, inside = _range(first[3], last[3]), _range(first[0], last[0])
    return f"{address}:{outside}->{inside}/{first[1]}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _split(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    return int(number), protocol or "tcp"
