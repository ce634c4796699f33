"""The command `proa-runtime`: an OCI runtime with runc's command line, for any engine to use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Do what `sys.argv` asks for, and end the process."""
    from proa.runtime.cli.main import main as run

    run()
