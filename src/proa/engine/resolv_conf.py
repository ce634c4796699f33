"""A container's resolv.conf(5), made of the host's and of what the user said."""

from __future__ import annotations

ADDRESS = "127.0.0.11"
"""Where a container's name server is, by network.redirect_names."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_RESOLVED = "127.0.0.53"
"""systemd-resolved's stub: its own file has the servers that it asks (systemd-resolved(8))."""


def reachable(text: str, *, resolved: Callable[[], str]) -> str:
    """The host's file without name servers of the host's loopback, which are not the container's.

    `resolved`: reads the file of systemd-resolved; taken where its stub is the only server.
    """
    if values(text, "nameserver") == [_RESOLVED]:
        text = resolved() or text
    if not any(_is_loopback(server) for server in values(text, "nameserver")):
        return text
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not (line.split()[:1] == ["nameserver"] and _is_loopback([*line.split(), ""][1]))
    )


def rewritten(
    text: str, servers: Iterable[str], search: Iterable[str], options: Iterable[str]
) -> str:
    """What the user said; of what is empty, the host's, as Docker has it. Search `.`: none."""
    search = tuple(search) or tuple(" ".join(values(text, "search")[-1:]).split())
    options = tuple(options) or tuple(" ".join(values(text, "options")).split())
    lines = []
    if search and search != (".",):
        lines.append(f"search {' '.join(search)}\n")
    lines += [f"nameserver {server}\n" for server in tuple(servers) or values(text, "nameserver")]
    if options:
        lines.append(f"options {' '.join(options)}\n")
    return "".join(lines)


def named(text: str, search: Iterable[str], options: Iterable[str]) -> str:
    """Our own name server, which asks the host's, or those of `--dns`, about what it does not know.

    Names without a dot are asked for as they are: `ndots:0`, as Docker has it.
    """
    options = tuple(options) or tuple(" ".join(values(text, "options")).split())
    if not any(option.startswith("ndots:") for option in options):
        options = (*options, "ndots:0")
    return rewritten(text, (ADDRESS,), search, options)


def values(text: str, keyword: str) -> list[str]:
    """What follows `keyword` in each line that begins with it."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if words[:1] == [keyword] and len(words) > 1:
            found.append(words[1] if keyword == "nameserver" else " ".join(words[1:]))
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
