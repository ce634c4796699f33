"""Which version this is."""

from __future__ import annotations


def version() -> str:
    """The version of the installed package; `0` where it was not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of("proa")
    except PackageNotFoundError:
        return "0"
