"""/proc/PID/mountinfo: proc_pid_mountinfo(5)."""

from __future__ import annotations

_CODES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


def unescape(path: str) -> str:
    """A path as the file has it, as it is: blanks and backslashes are octal there."""
    for code, character in _CODES:
        path = path.replace(code, character)
    return path
