"""Runs a process and returns what it wrote: the library's way to use a container."""

from __future__ import annotations

import os
import threading

from proa.engine.attach import Ends
from proa.errors import ContainerFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from proa.engine.containers import Containers
    from proa.engine.options import Wanted


def run_captured(containers: Containers, wanted: Wanted) -> bytes:
    """Run the container that `wanted` describes to its end; its output.

    Raises ContainerFailed where its exit code is not 0.
    """
    config = wanted.config
    out = bytearray() if wanted.stdout else None
    # kept even where nobody asked for it: what a failed command said is a part of the error
    err = out if wanted.stderr and out is not None else bytearray()
    code = containers.begin_attached(config, Ends(None, out, err)).run()
    output = bytes(out if out is not None else err if wanted.stderr else b"")
    if code:
        command = " ".join(config.command or ())
        raise ContainerFailed(
            f"command '{command}' in image '{config.image}' ended with exit code {code}",
            exit_code=code,
            output=output if err is out else output + bytes(err),
        )
    return output


def run_streamed(containers: Containers, wanted: Wanted) -> Iterator[bytes]:
    """As `run_captured`, but the output as it comes; the container has started on return.

    At the end of the iterator ContainerFailed is raised where the exit code is not 0.
    """
    config = wanted.config
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        attachment = containers.begin_attached(
            config, Ends(None, writer if wanted.stdout else None, writer if wanted.stderr else None)
        )
    except BaseException:
        os.close(reader)
        os.close(writer)
        raise
    codes: list[int] = []
    errors: list[BaseException] = []

    def copy() -> None:
        try:
            codes.append(attachment.run())
        except BaseException as error:
            errors.append(error)
        finally:
            os.close(writer)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    return _pieces(reader, thread, codes, errors, wanted)


def _pieces(
    reader: int,
    thread: threading.Thread,
    codes: list[int],
    errors: list[BaseException],
    wanted: Wanted,
) -> Iterator[bytes]:
    try:
        while chunk := os.read(reader, 1 << 16):
            yield chunk
    finally:
        os.close(reader)
    thread.join()
    if errors:
        raise errors[0]
    if codes[0]:
        config = wanted.config
        raise ContainerFailed(
            f"command '{' '.join(config.command or ())}' in image '{config.image}' ended with exit"
            f" code {codes[0]}",
            exit_code=codes[0],
            output=b"",
        )
