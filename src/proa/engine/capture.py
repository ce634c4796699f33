"""Runs a process and returns what it wrote: the library's way to use a container."""

from __future__ import annotations

import os
import threading

from proa.engine.attach import Ends
from proa.errors import ContainerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.engine.attach import Attachment
    from proa.engine.containers import Containers
    from proa.engine.options import Wanted


def run_captured(containers: Containers, wanted: Wanted) -> bytes:
    """Run the container that `wanted` describes to its end; its output.

    Raises ContainerFailed where its exit code is not 0.
    """
    config = wanted.config
    code, output = collect(
        lambda ends: containers.begin_attached(config, ends),
        stdout=wanted.stdout,
        stderr=wanted.stderr,
    )
    if code:
        command = " ".join(config.command or ())
        raise ContainerFailed(
            f"command '{command}' in image '{config.image}' ended with exit code {code}",
            exit_code=code,
            output=output,
        )
    return output


def collect(
    begin: Callable[[Ends], Attachment], *, stdout: bool, stderr: bool
) -> tuple[int, bytes]:
    """Begin an attachment whose output goes into memory; the exit code and the output."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    chunks: list[bytes] = []

    def drain() -> None:
        while chunk := os.read(reader, 1 << 16):
            chunks.append(chunk)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        ends = Ends(None, writer if stdout else None, writer if stderr else None)
        code = begin(ends).run()
    finally:
        os.close(writer)
        thread.join()
        os.close(reader)
    return code, b"".join(chunks)
