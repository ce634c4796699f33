"""The local driver: a directory, or with options whatever mount(8) can mount.

The options are those of Docker's: `type`, `device` and `o`, the latter as in fstab(5). What they
say is mounted for each container by itself, detached: nothing stays mounted on the host.
"""

from __future__ import annotations

import posix
from errno import EACCES, ENODEV, ENOENT, EPERM

from proa.errors import InvalidArgument, KernelError, NotFound, PermissionDenied, Unsupported
from proa.kernel import file_system, mount
from proa.kernel.mount_options import parse
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_OPTIONS = ("type", "device", "o", "size")
_NEEDED = {"type": ("device",), "device": ("type",), "o": ("type", "device")}
_BY_ADDRESS = ("nfs", "nfs4", "cifs", "smb3")
"""File systems of other machines, which the kernel wants the address of."""


def check_options(options: Mapping[str, str]) -> None:
    """Refuse what the driver does not know, or what lacks something.

    Raises InvalidArgument, Unsupported.
    """
    for name in options:
        if name not in _OPTIONS:
            raise InvalidArgument(
                f'invalid option: "{name}"; the local driver takes {", ".join(_OPTIONS[:3])}'
            )
    if "size" in options:
        raise Unsupported(
            "option size: quotas are not available; a tmpfs takes it as"
            " --opt type=tmpfs --opt device=tmpfs --opt o=size=100m"
        )
    for name, needed in _NEEDED.items():
        for other in needed:
            if options.get(name) and not options.get(other):
                raise InvalidArgument(f'missing required option: "{other}"; {name} needs it')
    if is_bind(options) and not options["device"].startswith("/"):
        raise InvalidArgument(f"device {options['device']} must be an absolute path to be bound")


def is_mounted(options: Mapping[str, str]) -> bool:
    """Whether the volume is something else than its own directory."""
    return bool(options.get("type") or options.get("device"))


def is_bind(options: Mapping[str, str]) -> bool:
    """Whether it is another directory of the host."""
    return bool(options.get("device")) and (
        options.get("type") in ("bind", "rbind") or parse(_given(options)).bind
    )


def is_in_memory(options: Mapping[str, str]) -> bool:
    """Whether each mount of it is a new, empty file system: containers that are to share it have
    to share the mount.
    """
    return options.get("type") in ("tmpfs", "ramfs") and not is_bind(options)


def open_mount(name: str, options: Mapping[str, str]) -> int:
    """A detached mount of what the options of the volume `name` say.

    Raises NotFound, PermissionDenied, Unsupported, KernelError.
    """
    kind, device = options.get("type", ""), options.get("device", "")
    found = parse(_given(options))
    attributes = found.attributes | found.all_attributes
    try:
        if not is_bind(options):
            data = _with_address(kind, device, found.data)
            return file_system.make(
                kind, device, attributes=attributes, flags=found.flags, data=data
            )
        everything = AT_RECURSIVE if found.recursive or kind == "rbind" else 0
        descriptor = mount.open_tree(AT_FDCWD, device, mount.OPEN_TREE_CLONE | everything)
        if attributes:
            mount.mount_setattr(descriptor, b"", attr_set=attributes, flags=everything)
        return descriptor
    except OSError as error:
        raise _refusal(name, options, error) from None


def _given(options: Mapping[str, str]) -> list[str]:
    return [item for item in options.get("o", "").split(",") if item]


def _with_address(kind: str, device: str, data: tuple[str, ...]) -> tuple[str, ...]:
    """`data` with `addr=` as a number: what mount.nfs(8) and its like do before mount(2)."""
    if kind not in _BY_ADDRESS:
        return data
    given = dict(item.partition("=")[::2] for item in data)
    key = "addr" if kind.startswith("nfs") else "ip"
    host = given.get("addr") or given.get("ip") or _host_of(kind, device)
    if not host:
        return data
    import socket

    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise NotFound(f"cannot find the address of {host}: {error.strerror or error}") from None
    kept = tuple(item for item in data if item.partition("=")[0] not in ("addr", "ip"))
    return (*kept, f"{key}={address}")


def _host_of(kind: str, device: str) -> str:
    if kind.startswith("nfs"):
        host, colon, _ = device.rpartition(":/")
        return host.strip("[]") if colon else ""
    return device.replace("\\", "/").lstrip("/").partition("/")[0]


def _refusal(name: str, options: Mapping[str, str], error: OSError) -> Exception:
    words = ", ".join(f"{key}={value}" for key, value in options.items())
    text = f"cannot mount volume {name} ({words}): {(error.strerror or str(error)).lower()}"
    if error.errno == ENOENT:
        return NotFound(f"{text}; make its device first")
    if error.errno == ENODEV:
        return Unsupported(f"{text}; this kernel does not have this type of file system")
    if error.errno in (EPERM, EACCES) and posix.geteuid() != 0:
        return PermissionDenied(f"{text}; it takes root")
    return KernelError(text)
