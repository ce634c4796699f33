"""How a layer says that something of the layers below is gone: in a tar, and on disk.

In a tar (OCI image-spec, layer.md, "Whiteouts"): a file `.wh.NAME` hides NAME, `.wh..wh..opq`
hides all that a directory had. On disk, as overlayfs has it: a character device 0:0, and an
xattr of the directory. The kernel lets nobody but overlayfs itself see its xattrs in a mount.
"""

from __future__ import annotations

import os
import stat

from proa.snapshot.overlay import in_user_namespace

PREFIX = b".wh."
META_PREFIX = b".wh..wh."
"""Names of aufs's own; they stand for no file. `.wh..wh..opq` alone has a meaning."""
OPAQUE = b".wh..wh..opq"

_ESCAPED = b"overlay."


class Marks:
    """The xattrs by which overlayfs knows its own, in this process's user namespace."""

    def __init__(self, *, user: bool | None = None) -> None:
        """`user`: as in a user namespace, where trusted xattrs cannot be set."""
        if user is None:
            user = in_user_namespace()
        self.user = user
        self.prefix = b"user.overlay." if user else b"trusted.overlay."
        self.opaque = self.prefix + b"opaque"

    def escape(self, name: bytes) -> bytes:
        """The xattr under which an image's own xattr `name` is kept in a layer.

        An image's `trusted.overlay.opaque` (from an overlay within a container, or from somebody
        who wishes harm) must not speak to our overlay. Linux 6.7 shows the escaped form to the
        container under its own name; older kernels hide it.
        """
        if name.startswith(self.prefix):
            return self.prefix + _ESCAPED + name[len(self.prefix) :]
        return name

    def unescape(self, name: bytes) -> bytes | None:
        """What the xattr `name` of a layer is called in the image; None: overlayfs's own."""
        if not name.startswith(self.prefix):
            return name
        rest = name[len(self.prefix) :]
        if rest.startswith(_ESCAPED):
            return self.prefix + rest[len(_ESCAPED) :]
        return None


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is overlayfs's mark, in a layer or upper directory, that a file is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
