"""Asks before what cannot be undone."""

from __future__ import annotations

import os

from proa.cli.output import STDIN, warn, write


def is_confirmed(warning: str) -> bool:
    """Whether the user wants what `warning` says; everything but yes is no."""
    warn(warning)
    write("Are you sure you want to continue? [y/N] ")
    return os.read(STDIN, 1024).strip().lower() in (b"y", b"yes")
