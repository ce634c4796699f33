"""Layers on disk: directories named by their diff IDs, and what is known of them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.oci.digest import Digest
    from proa.store.database import Database


class Layers:
    """The unpacked layers of a store.

    A layer is there when its directory is: it gets its name only when it is complete.
    """

    def __init__(self, database: Database, directory: str) -> None:
        self._database = database
        self.root = directory

    def path(self, diff_id: Digest) -> str:
        """The layer's own directory; `fs` in it holds the files."""
        return f"{self.root}/{diff_id.partition(':')[2]}"

    def tree(self, diff_id: Digest) -> str:
        """The directory with the layer's files, in overlayfs form."""
        return f"{self.root}/{diff_id.partition(':')[2]}/fs"
