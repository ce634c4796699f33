"""What a container sees of its cgroups, as an operation."""

from __future__ import annotations

import posix
from errno import EBUSY, EPERM

from proa.kernel import mount
from proa.kernel.cgroup.mountpoints import own_cgroup
from proa.kernel.path import AT_FDCWD
from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.kernel.cgroup import Mountpoints
    from proa.kernel.mount_options import MountOptions
    from proa.runtime.place import Place


@record
class CgroupView:
    """The cgroup hierarchies, with the container's own cgroup as their root.

    Version 2: one file system. Version 1: a directory with one for each hierarchy, and a link
    for each controller that shares its hierarchy.
    """

    destination: str
    options: MountOptions
    own_namespace: bool
    """the container has a cgroup namespace; otherwise its cgroup is bound"""
    where: Mountpoints
    """the hierarchies of the host"""

    def __str__(self) -> str:
        return f"mount cgroup at {self.destination}"

    def execute(self, place: Place) -> None:
        """Mount it, once the process is in its cgroup. Raises OSError."""
        place.join_cgroup()
        if self.where.version_1:
            self._mount_version_1(place)
        else:
            self._mount_version_2(place)

    def _attributes(self) -> int:
        return self.options.attributes | self.options.all_attributes

    def _mount_version_2(self, place: Place) -> None:
        target = place.target(self.destination, is_directory=True)
        descriptor = None
        if self.own_namespace:
            try:
                descriptor = _cgroup2(self._attributes())
            except OSError as error:
                # a user namespace that does not own the network namespace's … or an old kernel
                if error.errno not in (EPERM, EBUSY):
                    raise
        if descriptor is None:
            descriptor = self._bind(f"{self.where.version_2}{own_cgroup('')}")
        place.mount_over(descriptor, target)
        place.covered(self.destination)

    def _mount_version_1(self, place: Place) -> None:
        target = place.target(self.destination, is_directory=True)
        context = mount.fsopen("tmpfs")
        mount.fsconfig_string(context, "source", "tmpfs")
        mount.fsconfig_string(context, "mode", "755")
        mount.fsconfig_create(context)
        writable = self._attributes() & ~mount.MOUNT_ATTR_RDONLY
        directory = mount.fsmount(context, writable)
        posix.close(context)
        place.mount_over(directory, target)
        place.covered(self.destination)
        place.made(self.destination, directory)
        shared: dict[str, list[str]] = {}
        for controller, mountpoint in self.where.version_1.items():
            shared.setdefault(mountpoint, []).append(controller)
        for mountpoint, controllers in shared.items():
            name = mountpoint.rpartition("/")[2]
            posix.mkdir(name, 0o755, dir_fd=directory)
            if self.own_namespace:
                view = _cgroup1(controllers, self._attributes())
            else:
                view = self._bind(self.where.directory_v1(controllers[0], ""))
            # in a file system that was made just now: no link is in the way
            mount.attach(view, name, dir_fd=directory)
            for controller in controllers:
                if len(controllers) > 1 and controller != name:
                    posix.symlink(name, controller, dir_fd=directory)
        if self._attributes() & mount.MOUNT_ATTR_RDONLY:
            mount.mount_setattr(directory, b"", attr_set=mount.MOUNT_ATTR_RDONLY)

    def _bind(self, directory: str) -> int:
        descriptor = mount.open_tree(AT_FDCWD, directory.rstrip("/"), mount.OPEN_TREE_CLONE)
        mount.mount_setattr(
            descriptor, b"", attr_set=self._attributes(), propagation=mount.MS_PRIVATE
        )
        return descriptor


def _cgroup2(attributes: int) -> int:
    context = mount.fsopen("cgroup2")
    try:
        mount.fsconfig_string(context, "source", "cgroup")
        mount.fsconfig_create(context)
        return mount.fsmount(context, attributes)
    finally:
        posix.close(context)


def _cgroup1(controllers: list[str], attributes: int) -> int:
    context = mount.fsopen("cgroup")
    try:
        mount.fsconfig_string(context, "source", "cgroup")
        for controller in controllers:
            key, separator, value = controller.partition("=")
            if separator:
                # a hierarchy without controllers has only a name
                mount.fsconfig_flag(context, "none")
                mount.fsconfig_string(context, key, value)
            else:
                mount.fsconfig_flag(context, controller)
        mount.fsconfig_create(context)
        return mount.fsmount(context, attributes)
    finally:
        posix.close(context)
