"""A container's hosts(5)."""

from __future__ import annotations

from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOST_GATEWAY = "host-gateway"
"""The address of `--add-host` that stands for the host."""

_DEFAULT = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)


def text(
    extra: Iterable[str],
    *,
    base: str = _DEFAULT,
    gateways: Sequence[str] = (),
    linked: Iterable[tuple[str, str]] = (),
    own: Iterable[str] = (),
    names: str = "",
) -> str:
    """The whole file.

    `extra`: NAME:ADDRESS, as in `--add-host`. `gateways`: the addresses that host-gateway stands
    for. `linked`: (address, names). `own`: the container's addresses, which have `names`.
    Raises InvalidArgument.
    """
    lines = []
    for entry in extra:
        name, separator, address = entry.partition("=" if "=" in entry else ":")
        if not (name and separator and address):
            raise InvalidArgument(f"bad format for add-host: {entry}; write NAME:ADDRESS")
        if address != HOST_GATEWAY:
            lines.append(f"{address.strip('[]')}\t{name}\n")
            continue
        lines += [f"{gateway}\t{name}\n" for gateway in gateways]
    lines += [f"{address}\t{known}\n" for address, known in linked]
    lines += [f"{address}\t{names}\n" for address in own]
    return base + "".join(lines)
