"""From a registry to a running container, and back: `pull` and `push` on fresh disks.

The registry is Debian's docker-registry on the loopback device, the same for everybody. The image
has eight gzip layers of the same kind as the image of the load case.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

from bench import sandbox, spawn, tree
from bench.context import RUN, Context
from bench.engines import Engine
from bench.measure import Bar, Measurement, interleave
from tests.support import registries

LAYERS = 8
ENTRIES = 40_000
BYTES = 500_000_000
_OCI = "application/vnd.oci.image"
_MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_INSECURE = {"podman": ("--tls-verify=false",)}


def measure(context: Context) -> list[Measurement]:
    """Pull with new engines each time, then the same with one layer changed, then push it."""
    if registries.PROGRAM is None:
        raise spawn.Failed("there is no docker-registry; install it")
    scale = 0.1 if context.quick else 1.0
    image = _Image(os.path.join(context.cache, f"registry-{scale}"), context.shell(), scale)
    size = sum(map(os.path.getsize, image.layers)) // 1_000_000
    what = f"{LAYERS} layers, {size} MB compressed, {int(ENTRIES * scale)} entries"
    pull = Measurement("pull", f"pull ({what}) and first run", "s", (Bar(0.5, "docker"),))
    again = Measurement("pull-changed", "pull with one of the layers changed", "s")
    push = Measurement("push", "push of the same to an empty registry", "s", (Bar(0.5, "docker"),))
    memory = Measurement("pull-memory", "peak memory of the first pull", "MB", (Bar(100),))
    work = os.path.join(context.disks, "registries")
    os.makedirs(work)
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_registry(os.path.join(work, "source")))
        image.put(source, "1", [*range(LAYERS)])
        image.put(source, "2", [*range(LAYERS - 1), LAYERS])
        turns = iter(range(1000))

        def once(name: str) -> float:
            engine = context.started(type(context.engines[name]), "-registry")
            flags = _INSECURE.get(name, ())
            try:
                subprocess.run(["sync"], check=True)
                elapsed = engine.timed("pull", "-q", *flags, f"{source}/bench/image:1")
                elapsed += engine.timed(*RUN, f"{source}/bench/image:1", "/bin/busybox", "true")
                again.add(
                    name, engine.timed("pull", "-q", *flags, f"{source}/bench/image:2") / 1000
                )
                place = os.path.join(work, f"target-{next(turns)}")
                with _registry(place) as target:
                    engine.output("tag", f"{source}/bench/image:1", f"{target}/bench/image:1")
                    push.add(
                        name,
                        engine.timed("push", *flags, f"{target}/bench/image:1") / 1000,
                    )
                subprocess.run(["rm", "-rf", place], check=True)
                if name == "proa":
                    # last: on a disk that something large was removed from, all takes longer
                    engine.output("image", "prune", "--all", "--force")
                    memory.add(name, _peak(engine, "pull", "-q", f"{source}/bench/image:1"))
            finally:
                engine.stop()
                sandbox.discard_disk(os.path.join(context.disks, f"{name}-registry"))
                subprocess.run(["rm", "-rf", os.path.join(context.work, f"{name}-registry")])
            return elapsed / 1000

        contestants = {name: (lambda name=name: once(name)) for name in context.engines}
        interleave(pull, contestants, rounds=3, warm_up=0)
    return [pull, again, push, memory]


@contextlib.contextmanager
def _registry(directory: str) -> Iterator[str]:
    os.makedirs(directory)
    with registries.running(directory) as host:
        yield host


def _peak(engine: Engine, *arguments: str) -> float:
    """The most memory that the command had, in MB (getrusage(2))."""
    # not as our own child: what a process had before it executed another program counts as well
    argv = [sys.executable, "-I", "-S", "-c", _MEASURED, *engine.argv(*arguments)]
    return int(spawn.output(argv, engine.env)) / 1000


class _Image:
    """The layers of the image, and one more to put in the place of the last one."""

    def __init__(self, directory: str, shell: bytes, scale: float) -> None:
        os.makedirs(directory, exist_ok=True)
        self.layers: list[str] = []
        self._diff_ids: list[str] = []
        for number in range(LAYERS + 1):
            path = os.path.join(directory, str(number))
            if not os.path.exists(path + ".id"):
                if number == 0:
                    print("making the image of the registry case: a minute, once", flush=True)
                _make(path, shell, scale / LAYERS, number)
            with open(path + ".id", encoding="ascii") as file:
                self._diff_ids.append(file.read())
            self.layers.append(path)

    def put(self, host: str, tag: str, numbers: list[int]) -> None:
        """Put the image of these layers into a registry."""
        layers = [_put(host, self.layers[number]) for number in numbers]
        config = json.dumps(
            {
                "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/busybox", "true"]},
                "rootfs": {"type": "layers", "diff_ids": [self._diff_ids[n] for n in numbers]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": {"mediaType": f"{_OCI}.config.v1+json", **_put_data(host, config)},
            "layers": [{"mediaType": f"{_OCI}.layer.v1.tar+gzip", **layer} for layer in layers],
        }
        status, _, body = registries.call(
            f"http://{host}/v2/bench/image/manifests/{tag}",
            "PUT",
            json.dumps(manifest).encode(),
            {"Content-Type": f"{_OCI}.manifest.v1+json"},
        )
        if status != 201:
            raise spawn.Failed(f"docker-registry refuses the image: {body[:200]!r}")


def _make(path: str, shell: bytes, scale: float, number: int) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w|") as tar:
        tree.fill(
            tar,
            shell,
            entries=int(ENTRIES * scale),
            size=int(BYTES * scale),
            source=random.Random(number),
        )
    data = plain.getvalue()
    with open(path, "wb") as file:
        file.write(gzip.compress(data, 6, mtime=0))
    with open(path + ".id", "w", encoding="ascii") as file:
        file.write(f"sha256:{hashlib.sha256(data).hexdigest()}")


def _put(host: str, path: str) -> dict[str, Any]:
    with open(path, "rb") as file:
        return _put_data(host, file.read())


def _put_data(host: str, data: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _, headers, _ = registries.call(f"http://{host}/v2/bench/image/blobs/uploads/", "POST", b"")
    status, _, body = registries.call(
        registries.upload_to(host, headers["location"], digest),
        "PUT",
        data,
        {"Content-Type": "application/octet-stream"},
    )
    if status != 201:
        raise spawn.Failed(f"docker-registry refuses a blob: {body[:200]!r}")
    return {"digest": digest, "size": len(data)}
