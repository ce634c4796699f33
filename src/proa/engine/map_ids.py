"""`-v SOURCE:TARGET:map=me`: what the container's root writes belongs to the user who calls.

The mount is idmapped (mount_setattr(2)): the user's ids on the disk are root's in the container.
Other users are themselves, except that the files of the host's root belong to nobody, and that a
process in the container which has the user's own number can make nothing: either would give rights
away that nobody has asked for. In a user namespace of the user's own all this is so anyhow.
"""

from __future__ import annotations

import posix

from proa.engine.rootless import is_rootless
from proa.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LAST = (1 << 32) - 2
"""the highest id: the one above it means none"""


def mappings(who: str) -> dict[str, Any]:
    """uidMappings and gidMappings of an OCI mount (containerID: on the disk; hostID: as it is
    seen), empty where there is nothing to map. Raises InvalidArgument.
    """
    if who != "me":
        raise InvalidArgument(f"map={who}: it can be me, the user who calls")
    if is_rootless():
        return {}
    uid, gid = _calling("SUDO_UID", posix.getuid()), _calling("SUDO_GID", posix.getgid())
    if uid == gid == 0:
        return {}
    return {"uidMappings": _of(uid), "gidMappings": _of(gid)}


def _calling(name: str, own: int) -> int:
    """The id of who has called sudo(8), if that was how we became root; else the real one."""
    text = posix.environ.get(name.encode(), b"").decode("ascii", "replace")
    return int(text) if own == 0 and text.isdecimal() and int(text) <= _LAST else own


def _of(id: int) -> list[dict[str, int]]:
    if id == 0:
        return [{"containerID": 0, "hostID": 0, "size": _LAST + 1}]
    found = [{"containerID": id, "hostID": 0, "size": 1}]
    if id > 1:
        found.append({"containerID": 1, "hostID": 1, "size": id - 1})
    if id < _LAST:
        found.append({"containerID": id + 1, "hostID": id + 1, "size": _LAST - id})
    return found
