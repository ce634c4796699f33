"""The installed command, as a test calls it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence


class Command:
    """`proa --root ROOT …`, run to its end or left running.

    Attributes: `path`, of the launcher; `root`, the engine's directory; `options`, what comes
    before the subcommand; `environment` of the processes; `prefix`, a command that runs the
    command, such as `setpriv`.
    """

    def __init__(
        self,
        path: str,
        root: str,
        *,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.path = path
        self.root = root
        self.options = tuple(options)
        self.prefix = tuple(prefix)
        self.environment = dict(os.environ if environment is None else environment)

    def argv(self, *arguments: str) -> list[str]:
        """The whole command line for these arguments."""
        return [*self.prefix, self.path, "--root", self.root, *self.options, *arguments]

    def __call__(
        self,
        *arguments: str,
        input: str | None = None,
        timeout: float = 60.0,
        code: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end.

        `code`: the exit code that the test expects, None for any. Raises AssertionError, with
        all that was printed, where it ends with another one.
        """
        result = subprocess.run(
            self.argv(*arguments),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            env=self.environment,
            check=False,
        )
        if code is not None and result.returncode != code:
            raise AssertionError(
                f"proa {' '.join(arguments)} ended with {result.returncode}, not {code}\n"
                f"stdout: {result.stdout}\nstderr: {result.stderr}"
            )
        return result

    def output(self, *arguments: str, timeout: float = 60.0) -> str:
        """What it prints, without the last line's end; it must succeed."""
        return self(*arguments, timeout=timeout).stdout.removesuffix("\n")

    def start(
        self, *arguments: str, stdin: int | None = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Leave it running with pipes for its stdio; the test waits for it."""
        return subprocess.Popen(
            self.argv(*arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )

    def start_on_terminal(self, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
        """Leave it running on a new terminal; the process and the terminal's other side."""
        ours, theirs = pty.openpty()
        try:
            process = subprocess.Popen(
                self.argv(*arguments),
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=self.environment,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        return process, ours
