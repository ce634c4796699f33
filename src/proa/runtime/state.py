"""What is remembered of a container between commands: ROOT/<id>/state.json."""

from __future__ import annotations

import posix

from proa.errors import AlreadyExists, InvalidArgument, NotFound
from proa.kernel import process
from proa.lean import json
from proa.lean.record import as_dict, record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FILE = "state.json"
SPEC = "config.json"
START = "start.sock"


@record
class State:
    """A container, as its creator wrote it down."""

    id: str
    pid: int
    start_time: int
    """of the process, in clock ticks since boot: the pid alone may be another's by now"""
    bundle: str
    created: str
    """RFC 3339"""
    cgroups: Mapping[str, str]
    owner: str = ""
    """not used any more"""
    mount_namespace: str = ""
    """by what its processes are known where neither a pid namespace nor a cgroup has them"""

    def is_alive(self) -> bool:
        """Whether the first process runs (a zombie does not)."""
        try:
            return (
                process.start_time(self.pid) == self.start_time
                and process.state_of(self.pid) not in "ZX"
            )
        except ProcessLookupError:
            return False


def check_id(id: str) -> None:
    """Raises InvalidArgument for what cannot be an id: it becomes the name of a directory."""
    if not id or id in (".", "..") or len(id) > 1024:
        raise InvalidArgument(f"invalid container id: {id!r}")
    for character in id:
        if not (character.isascii() and (character.isalnum() or character in "_+-.")):
            raise InvalidArgument(
                f"invalid container id: {id!r}; letters, digits and _ + - . may be in it"
            )


def directory_of(root: str, id: str) -> str:
    """Where the state of the container lies. Raises InvalidArgument."""
    check_id(id)
    return f"{root}/{id}"


def reserve(root: str, id: str) -> str:
    """Make the directory of a new container. Raises AlreadyExists."""
    directory = directory_of(root, id)
    for _ in range(2):
        try:
            posix.mkdir(directory, 0o711)
            return directory
        except FileExistsError:
            raise AlreadyExists(
                f"a container with the id {id} exists; delete it, or take another id"
            ) from None
        except FileNotFoundError:
            _make(root)
    raise NotFound(f"the directory {root} is being removed")


def save(directory: str, state: State) -> None:
    """Write it, at once as a whole."""
    write(directory, _FILE, json.dumps(as_dict(state)).encode())


def write(directory: str, name: str, data: bytes) -> None:
    """Write a file of the container's directory, at once as a whole."""
    temporary = f"{directory}/.{name}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[posix.write(descriptor, view) :]
    finally:
        posix.close(descriptor)
    posix.rename(temporary, f"{directory}/{name}")


def load(root: str, id: str) -> State:
    """The state of a container. Raises NotFound."""
    try:
        data = read(directory_of(root, id), _FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"no such container: {id}; see 'list'") from None
    return State(**json.loads(data))


def read(directory: str, name: str) -> bytes:
    """The content of a file of the container's directory. Raises FileNotFoundError."""
    descriptor = posix.open(f"{directory}/{name}", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        parts = []
        while part := posix.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        posix.close(descriptor)


def remove(directory: str) -> None:
    """Remove the directory with all that is in it; no error where it is gone."""
    try:
        for name in posix.listdir(directory):
            posix.unlink(f"{directory}/{name}")
        posix.rmdir(directory)
    except FileNotFoundError:
        return


def ids(root: str) -> list[str]:
    """The containers that there are."""
    try:
        names = posix.listdir(root)
    except FileNotFoundError:
        return []
    return sorted(name for name in names if posix.access(f"{root}/{name}/{_FILE}", posix.F_OK))


def _make(path: str) -> None:
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make(path.rpartition("/")[0])
        _make(path)
