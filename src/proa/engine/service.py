"""A systemd service that starts containers with the machine and stops them with it.

It runs nothing that stays: `system boot` when the machine comes up, `system halt` when it goes
down. Of an ordinary user it is a service of the user's own manager.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from proa.errors import NotFound, PermissionDenied, Unavailable

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")

_UNIT = """\
[Unit]
Description=Containers of proa in {root}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} --root {root_argument} system boot
ExecStop={command} --root {root_argument} system halt
# what stays are the monitors, one for each container: they end with their containers
KillMode=process
Delegate=yes
TasksMax=infinity
TimeoutStartSec=infinity
TimeoutStopSec=5min

[Install]
WantedBy={target}
"""


def name(root: str, default_root: str) -> str:
    """The unit's name; an engine with another root than the default has a name of its own."""
    return "proa.service" if root == default_root else f"proa-{_escaped(root)}.service"


def directory() -> str:
    """Where systemd looks for units of the administrator, or of this user: systemd.unit(5)."""
    if os.geteuid() == 0:
        return "/etc/systemd/system"
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return f"{config}/systemd/user"


def text(root: str) -> str:
    """The unit for the engine at `root`."""
    return _UNIT.format(
        root=root.replace("%", "%%"),
        root_argument=_quoted(root),
        command=" ".join(map(_quoted, _command())),
        target="multi-user.target" if os.geteuid() == 0 else "default.target",
    )


def install(root: str, unit: str, place: str, *, enable: bool) -> str:
    """Write the unit `unit` to the directory `place`, and have systemd start it with the machine.

    Returns its path. Raises PermissionDenied, Unavailable where systemctl fails.
    """
    path = f"{place}/{unit}"
    try:
        os.makedirs(place, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text(root))
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise PermissionDenied(f"cannot write {path}: {(error.strerror or '').lower()}") from None
    if enable:
        _reload()
        _systemctl("enable", unit)
    return path


def uninstall(unit: str, place: str, *, disable: bool) -> str:
    """Take the unit away; containers go on. Returns its path. Raises NotFound, PermissionDenied."""
    path = f"{place}/{unit}"
    if not os.path.exists(path):
        raise NotFound(f"{path} is not there: nothing to uninstall")
    if disable:
        _systemctl("disable", unit)
    try:
        os.unlink(path)
    except OSError as error:
        raise PermissionDenied(f"cannot remove {path}: {(error.strerror or '').lower()}") from None
    if disable:
        _reload()
    return path


def _reload() -> None:
    # where systemd does not run, as while an image is being made, it reads units when it starts
    if os.path.isdir("/run/systemd/system"):
        _systemctl("daemon-reload")


def _systemctl(*arguments: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise Unavailable(
            "there is no systemctl: is this a machine with systemd? 'proa system service show'"
            " prints the unit; what starts services here can call 'proa system boot' instead"
        )
    user = [] if os.geteuid() == 0 else ["--user"]
    result = subprocess.run(
        [program, *user, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if result.returncode:
        reason = "; ".join(result.stderr.split("\n")).strip("; ")
        raise Unavailable(f"systemctl {' '.join(arguments)} failed: {reason}")


def _command() -> list[str]:
    """The command as it is installed; as pip lays it out, or by the interpreter."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    launcher = os.path.join(package, "../../../../bin/proa")
    if os.access(launcher, os.X_OK):
        return [os.path.normpath(launcher)]
    return [sys.executable, "-P", "-m", "proa"]


def _quoted(word: str) -> str:
    """As systemd.service(5) wants it in ExecStart=: specifiers, variables and quotes escaped."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'


def _escaped(path: str) -> str:
    """A path in the name of a unit: systemd-escape(1) --path."""
    return "-".join(_escaped_name(part) for part in path.split("/") if part)


def _escaped_name(name: str) -> str:
    return "".join(
        character
        if character in _PLAIN
        else "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
        for character in name
    )
