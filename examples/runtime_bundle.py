"""Use the OCI runtime alone: a bundle, and no engine, store or image.

A bundle is a directory with a root file system and a runtime spec (config.json), as runc and crun
take it. This one's only program is this machine's busybox, which must be statically linked. Needs
root, unless the spec asks for a user namespace.

The command `proa-runtime` does the same for other engines. Where a container is not to be trusted,
use that: it also protects the interpreter, which a further process (exec) shows to the container.

Prints:
    state: created
    state: running
    process 1 of the container says: my host is called bundled
    exit code: 3
    state: stopped
    deleted
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile

from proa import NotFound
from proa.runtime.container import Container, Stdio
from proa.runtime.defaults import CAPABILITIES, default_spec
from proa.runtime.seccomp_profile import default_profile

SCRIPT = "echo my host is called $(hostname); read line; exit 3"


def main(directory: str) -> None:
    """Make a bundle in `directory`, and take a container of it through its states."""
    bundle = make_bundle(directory)
    # The defences of Docker's default: capabilities, masked paths, devices, system calls.
    spec = default_spec(
        ["sh", "-c", SCRIPT],
        hostname="bundled",
        seccomp=default_profile(frozenset(CAPABILITIES), os.uname().machine),
    )
    states = os.path.join(directory, "states")
    os.mkdir(states)

    input_reader, input_writer = os.pipe()
    output_reader, output_writer = os.pipe()
    stdio = Stdio(input_reader, output_writer, output_writer)
    container = Container.create("example", spec, root=states, bundle=bundle, stdio=stdio)
    os.close(input_reader)
    os.close(output_writer)
    try:
        # All of the container is there, and its process waits to execute the command.
        print("state:", container.status)
        container.start()
        print("state:", container.status)
        with os.fdopen(output_reader) as output, os.fdopen(input_writer, "w") as answer:
            print("process 1 of the container says:", output.readline().rstrip())
            answer.write("go on\n")
        # Its first process is a child of ours: nobody else looks after it.
        _, status = os.waitpid(container.pid, 0)
        print("exit code:", os.waitstatus_to_exitcode(status))
        print("state:", container.status)
    finally:
        container.delete(force=True)
    try:
        Container.load("example", states)
    except NotFound:
        print("deleted")


def make_bundle(directory: str) -> str:
    """A bundle whose root file system has a shell; its path."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise SystemExit("there is no busybox here: apt-get install busybox-static")
    bundle = os.path.join(directory, "bundle")
    programs = os.path.join(bundle, "rootfs", "bin")
    os.makedirs(programs)
    shutil.copy(busybox, programs)
    for name in ("sh", "hostname"):
        os.symlink("busybox", os.path.join(programs, name))
    return bundle


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("this example needs root")
    with tempfile.TemporaryDirectory() as directory:
        main(directory)
