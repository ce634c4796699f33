"""The mounts of a container, as operations: bind mounts and file systems of its own."""

from __future__ import annotations

import posix
from errno import EINVAL, EPERM

from proa.errors import HostileData, KernelError
from proa.kernel import file_system, mount
from proa.kernel.mount_options import MountOptions
from proa.kernel.path import AT_FDCWD, AT_RECURSIVE
from proa.lean.record import record
from proa.runtime.place import PROC_MAGIC, file_system_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.runtime.place import Place


@record
class BindMount:
    """A file or directory of the host, in the container."""

    number: int
    """its place in `Place.sources`"""
    source: str
    destination: str
    options: MountOptions
    uid_mappings: tuple[tuple[int, int, int], ...] = ()
    gid_mappings: tuple[tuple[int, int, int], ...] = ()
    root_shared: bool = False
    """linux.rootfsPropagation is shared: what is mounted below a shared source reaches the host"""

    def __str__(self) -> str:
        return f"bind {self.source} at {self.destination}"

    def open(self) -> int:
        """A detached copy of the source's mount with the options applied.

        Done in the host's mount namespace, or in a copy of it before its propagation is changed:
        a shared mount is shared with the container only then. Raises OSError.
        """
        options = self.options
        everything = AT_RECURSIVE if options.recursive else 0
        descriptor = mount.open_tree(AT_FDCWD, self.source, mount.OPEN_TREE_CLONE | everything)
        return self._prepared(descriptor, everything)

    def take(self, given: int) -> int:
        """A duplicate of `given`, a detached mount, with the options applied. Raises OSError."""
        return self._prepared(posix.dup(given), AT_RECURSIVE if self.options.recursive else 0)

    def _prepared(self, descriptor: int, everything: int) -> int:
        try:
            self._set_attributes(descriptor, everything)
            if self.uid_mappings or self.gid_mappings:
                self._map_ids(descriptor)
        except BaseException:
            posix.close(descriptor)
            raise
        return descriptor

    def _set_attributes(self, descriptor: int, everything: int) -> None:
        options = self.options
        # what receives mounts from the host need not give it any: see mount_namespaces(7)
        default = 0 if self.root_shared else mount.MS_SLAVE
        propagation = options.all_propagation or options.propagation or default
        to_set, to_clear = options.all_attributes, options.all_cleared
        if not everything:
            to_set = to_set & ~options.cleared | options.attributes
            to_clear = to_clear & ~options.attributes | options.cleared
        elif options.propagation:
            self._change(descriptor, 0, 0, default, everything)
            everything = 0
        if propagation == mount.MS_SHARED and default:
            # as runc has it: shared with what the container shares it with, not with the host
            self._change(descriptor, 0, 0, default, everything)
        self._change(descriptor, to_set, to_clear, propagation, everything)
        if options.recursive and (options.attributes or options.cleared):
            self._change(descriptor, options.attributes, options.cleared, 0, 0)

    def _change(
        self, descriptor: int, to_set: int, to_clear: int, propagation: int, flags: int
    ) -> None:
        try:
            mount.mount_setattr(
                descriptor,
                b"",
                attr_set=to_set,
                attr_clear=to_clear,
                propagation=propagation,
                flags=flags,
            )
        except OSError as error:
            if error.errno != EPERM or not to_clear:
                raise
            # in a user namespace, what the host has forbidden for the source stays forbidden
            mount.mount_setattr(
                descriptor, b"", attr_set=to_set, propagation=propagation, flags=flags
            )

    def _map_ids(self, descriptor: int) -> None:
        from proa.kernel.idmap import user_namespace

        namespace = user_namespace(self.uid_mappings, self.gid_mappings)
        try:
            mount.mount_setattr(
                descriptor,
                b"",
                userns_fd=namespace,
                flags=AT_RECURSIVE if self.options.id_mapped == "ridmap" else 0,
            )
        except OSError as error:
            if error.errno != EINVAL:
                raise
            raise KernelError(
                f"cannot map the ids of {self.source}: its file system or this kernel does not "
                "support idmapped mounts"
            ) from None
        finally:
            posix.close(namespace)

    def execute(self, place: Place) -> None:
        """Attach it. Raises OSError, HostileData."""
        source = place.sources[self.number]
        if self.destination == "/proc" and file_system_type(source) != PROC_MAGIC:
            raise HostileData(f"{self.source} cannot be mounted at /proc: it is no procfs")
        is_directory = posix.fstat(source).st_mode & 0o170000 == 0o040000
        target = place.target(self.destination, is_directory=is_directory)
        place.mount_over(source, target)
        place.covered(self.destination)


@record
class FileSystem:
    """A new file system: proc, sysfs, tmpfs, devpts, mqueue, or any other of the kernel's."""

    kind: str
    source: str
    destination: str
    options: MountOptions
    label: str = ""
    """SELinux context of its files"""

    def __str__(self) -> str:
        return f"mount {self.kind} at {self.destination}"

    def execute(self, place: Place) -> None:
        """Make it and attach it. Raises OSError, HostileData."""
        options = self.options
        # as runc has it: a tmpfs is as open as the directory it covers, and where there was none
        # as open as /tmp
        like = self.kind == "tmpfs" and not any(item.startswith("mode=") for item in options.data)
        like = like and place.has(self.destination)
        if self.kind in ("proc", "sysfs"):
            target = place.plain_directory(self.destination)
        elif self.destination == "/proc":
            raise HostileData(f"{self.kind} cannot be mounted at /proc: only proc can")
        else:
            target = place.target(self.destination, is_directory=True)
        data = options.data
        if like:
            data = (*data, f"mode={posix.fstat(target).st_mode & 0o7777:o}")
        if self.label:
            data = (*data, f"context={self.label}")
        descriptor = self._make(data)
        if options.copy_up:
            from proa.runtime.copy_up import copy_up

            copy_up(target, descriptor)
        attributes = options.attributes | options.all_attributes
        if attributes & mount.MOUNT_ATTR_RDONLY and options.copy_up:
            mount.mount_setattr(descriptor, b"", attr_set=mount.MOUNT_ATTR_RDONLY)
        place.mount_over(descriptor, target)
        place.covered(self.destination)
        place.made(self.destination, descriptor, proc=self.kind == "proc")
        if propagation := options.propagation or options.all_propagation:
            mount.mount_setattr(descriptor, b"", propagation=propagation)

    def _make(self, data: tuple[str, ...]) -> int:
        options = self.options
        attributes = options.attributes | options.all_attributes
        if options.copy_up:
            attributes &= ~mount.MOUNT_ATTR_RDONLY
        return file_system.make(
            self.kind, self.source, attributes=attributes, flags=options.flags, data=data
        )


@record
class ReadOnlyRoot:
    """Nothing on the root file system itself can be changed."""

    def __str__(self) -> str:
        return "make the root file system read-only"

    def execute(self, place: Place) -> None:
        """Set it. Raises OSError."""
        mount.mount_setattr(place.root, b"", attr_set=mount.MOUNT_ATTR_RDONLY)
