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
    out = bytearray() if wanted.stdout else None
    # kept even where nobody asked for it: what a failed command said is a part of the error
    err = out if wanted.stderr and out is not None else bytearray()
    code = collect(lambda ends: containers.begin_attached(config, ends), out, err)
    output = bytes(out if out is not None else err if wanted.stderr else b"")
    if code:
        command = " ".join(config.command or ())
        raise ContainerFailed(
            f"command '{command}' in image '{config.image}' ended with exit code {code}",
            exit_code=code,
            output=output if err is out else output + bytes(err),
        )
    return output


def collect(
    begin: Callable[[Ends], Attachment],
    stdout: bytearray | None,
    stderr: bytearray | None,
    stdin: bytes | None = None,
) -> int:
    """Begin an attachment whose output is added to `stdout` and `stderr`; the exit code.

    Both may be one: then what is written is in the order in which it was. None: not wanted.
    `stdin`: what it is given as input.
    """
    source = -1 if stdin is None else _source(stdin)
    writers: list[int] = [] if stdin is None else [source]
    threads: list[threading.Thread] = []
    ends: dict[int, int] = {}
    for target in (stdout, stderr):
        if target is None or id(target) in ends:
            continue
        reader, writer = os.pipe2(os.O_CLOEXEC)
        writers.append(writer)
        ends[id(target)] = writer
        threads.append(threading.Thread(target=_drain, args=(reader, target), daemon=True))
        threads[-1].start()
    try:
        return begin(
            Ends(
                None if stdin is None else source,
                ends[id(stdout)] if stdout is not None else None,
                ends[id(stderr)] if stderr is not None else None,
            )
        ).run()
    finally:
        for writer in writers:
            os.close(writer)
        for thread in threads:
            thread.join()


def _source(data: bytes) -> int:
    """A descriptor from which `data` can be read, and then its end."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    threading.Thread(target=_fill, args=(writer, data), daemon=True).start()
    return reader


def _fill(writer: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(writer, view) :]
    except BrokenPipeError:
        return  # nobody reads it any more
    finally:
        os.close(writer)


def _drain(reader: int, target: bytearray) -> None:
    try:
        while chunk := os.read(reader, 1 << 16):
            target += chunk
    finally:
        os.close(reader)
