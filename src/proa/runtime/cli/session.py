"""What the global options say, and where output and errors go."""

from __future__ import annotations

import posix

from proa.errors import InvalidArgument, PermissionDenied, ProaError
from proa.lean import clock, json
from proa.lean.record import record
from proa.runtime.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.runtime.cli.arguments import Arguments

GLOBAL_FLAGS = {
    "debug": "bool",
    "log": "value",
    "log-format": "value",
    "root": "value",
    "criu": "value",
    "systemd-cgroup": "bool",
    "rootless": "value",
    "cgroup-manager": "value",
    "help": "bool,h",
    "version": "bool,v",
}


@record
class Session:
    """One call of the command."""

    root: str
    log: str
    log_format: str
    debug: bool
    systemd_cgroup: bool

    def load(self, id: str) -> Container:
        """The container `id`. Raises NotFound."""
        return Container.load(id, self.root, cache=self.cache)

    @property
    def cache(self) -> str:
        """Where compiled seccomp filters are kept."""
        return f"{self.root}/.cache"

    def complain(self, error: BaseException) -> None:
        """Tell of `error` where it is looked for: standard error, and the log."""
        text = str(error) if isinstance(error, ProaError) else f"{type(error).__name__}: {error}"
        posix.write(2, f"proa-runtime: {text}\n".encode("utf-8", "replace"))
        if self.log:
            self._write_log(text)

    def _write_log(self, text: str) -> None:
        now = clock.now()
        if self.log_format == "json":
            line = json.dumps({"level": "error", "msg": text, "time": now})
        else:
            line = f"time={json.quote(now)} level=error msg={json.quote(text)}"
        try:
            flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT | posix.O_CLOEXEC
            descriptor = posix.open(self.log, flags, 0o644)
        except OSError:
            return
        posix.write(descriptor, f"{line}\n".encode("utf-8", "replace"))
        posix.close(descriptor)


def session_of(options: Arguments) -> Session:
    """The session that the global options describe. Raises InvalidArgument."""
    log_format = options.text("log-format", "text")
    if log_format not in ("text", "json"):
        raise InvalidArgument(f"--log-format is text or json, not {log_format}")
    root = options.text("root") or default_root()
    if not root.startswith("/"):
        root = f"{posix.getcwd()}/{root}"
    return Session(
        root=root.rstrip("/") or "/",
        log=options.text("log"),
        log_format=log_format,
        debug=options.flag("debug"),
        systemd_cgroup=options.flag("systemd-cgroup")
        or options.text("cgroup-manager") == "systemd",
    )


def default_root() -> str:
    """Where states are kept: /run/proa-runtime, for an ordinary user in XDG_RUNTIME_DIR.

    Where that is not set, as after `su`: in /run/user/UID, else in /tmp/proa-runtime-UID.
    Raises PermissionDenied where that is somebody else's.
    """
    user = posix.geteuid()
    if user == 0:
        return "/run/proa-runtime"
    directory = posix.environ.get(b"XDG_RUNTIME_DIR", b"").decode("utf-8", "surrogateescape")
    if not directory and posix.access(f"/run/user/{user}", posix.W_OK):
        directory = f"/run/user/{user}"
    if directory:
        return f"{directory}/proa-runtime"
    path = f"/tmp/proa-runtime-{user}"  # noqa: S108 - made and looked at below
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise PermissionDenied(
            f"cannot make {path} ({error.strerror}); set XDG_RUNTIME_DIR, or give --root"
        ) from None
    # anybody can have made it before us
    status = posix.stat(path, follow_symlinks=False)
    if status.st_mode & 0o170077 != 0o040000 or status.st_uid != user:
        raise PermissionDenied(
            f"{path} is not a directory of yours alone; set XDG_RUNTIME_DIR, or give --root"
        )
    return path


def write(text: str) -> None:
    """Print to standard output."""
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        data = data[posix.write(1, data) :]
