"""What every way of putting layers together offers: the protocol of snapshots.

A *layer* is a directory of its own changes in overlayfs form, named by its diff ID. A *snapshot*
is a container's own directory (the *key directory*): what the container writes is kept there.
Implementations: `overlay` and `copy`; tests/conformance holds both to the same behaviour.

Mounts are detached: descriptors that are attached nowhere, and gone with the last process that
holds them. A layer is reached by nothing but `layer_path`, so that it may become a mount itself.
"""

from __future__ import annotations

from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from proa.snapshot.diff import Change
    from proa.snapshot.stack import Stack

    class Snapshots(Protocol):
        """Layers and snapshots below one store's root."""

        @property
        def kind(self) -> str:
            """`overlay` or `copy`."""

        @property
        def root(self) -> str:
            """The store's root."""

        def layer_path(self, diff_id: str) -> str:
            """Where the files of the layer `diff_id` (`sha256:<hex>`) lie: ROOT/layers/<hex>/fs."""

        def lower(self, layers: Sequence[str]) -> list[str]:
            """The directories of which the root file system of a snapshot of `layers` (base
            first) is put together, topmost first, without the snapshot's own.
            """

        def prepare(self, key_dir: str, layers: Sequence[str] = ()) -> None:
            """Make the directories of a new snapshot; `key_dir` itself may exist.

            The root directory gets mode 0755 and the owner of the topmost layer's root.
            """

        def mount(self, key_dir: str, layers: Sequence[str], *, read_only: bool = False) -> int:
            """A detached mount of `layers` (diff IDs, base first) under what the snapshot holds.

            Returns its descriptor. Raises NotFound for a layer that is not there, KernelError
            with the kernel's words for anything else.
            """

        def view(self, layers: Sequence[str]) -> int:
            """A detached read-only mount of `layers` alone. Raises as `mount` does."""

        def look(self, key_dir: str, layers: Sequence[str]) -> int:
            """A detached read-only mount of what `mount` shows, whoever else has it mounted.

            What is written to the snapshot meanwhile may or may not be seen. Raises as `mount`.
            """

        def files(self, key_dir: str, layers: Sequence[str]) -> Stack:
            """The same without a mount, as of any moment; also while its container runs."""

        def changed(self, key_dir: str) -> str:
            """The directory that holds what the snapshot's container wrote.

            With `overlay` the upper directory: changes only, in overlayfs form. With `copy` the
            whole tree.
            """

        def changes(self, key_dir: str, layers: Sequence[str]) -> Iterator[Change]:
            """How the snapshot differs from its `layers` and what lies below every image; see
            `proa.snapshot.diff`. While its container runs, a state in between.
            """

        def usage(self, key_dir: str) -> Usage:
            """What the snapshot takes, without its layers."""

        def remove(self, key_dir: str) -> None:
            """Remove `key_dir` and everything below it; nothing to do where it is missing.

            Never follows a link and never enters a mount. Raises Conflict where something is
            mounted in it.
            """


@record
class Usage:
    """What a directory tree holds; a file of several names counts once."""

    size: int
    """Bytes that the files say they have."""
    disk: int
    """Bytes that are allocated."""
    entries: int
    """Files, directories and all else, the tree's root not counted."""
