"""What all cases share: the contestants, ready to run, and how long to take."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from bench import bundles, sandbox, spawn
from bench.bundles import Runtime
from bench.engines import Docker, Engine, Podman, Proa
from bench.peers import Programs
from tests.support import images

IMAGE = "alpine:3.20"


@dataclass
class Context:
    """The contestants of one run of the benchmark."""

    programs: Programs
    work: str
    """A directory on a tmpfs with a short path."""
    disks: str
    """A directory on a real disk."""
    cache: str
    launcher: str
    quick: bool
    engines: dict[str, Engine] = field(default_factory=dict)
    runtimes: dict[str, Runtime] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    specification_from: str = ""

    def rounds(self, full: int) -> int:
        """How many rounds to do where the full number is `full`."""
        return max(3, full // 5) if self.quick else full

    def skip(self, name: str, reason: object) -> None:
        """Leave a contestant out, with a word."""
        self.skipped[name] = str(reason)
        print(f"{name} is left out: {reason}", flush=True)

    def start(self, only: set[str]) -> None:
        """Start every engine with the image loaded, and make the runtimes' bundles."""
        archive = self._image()
        for kind in (Proa, Docker, Podman):
            if kind.name not in only:
                continue
            try:
                self.engines[kind.name] = self.started(kind)
                self.engines[kind.name].output("load", "--input", archive)
                self.engines[kind.name].timed(*RUN, IMAGE, "true")
                self.versions[kind.name] = self.engines[kind.name].version()
            except spawn.Failed as error:
                engine = self.engines.pop(kind.name, None)
                if engine is not None:
                    engine.stop()
                self.skip(kind.name, error)
        self._prepare_bundles(archive, only)

    def stop(self) -> None:
        """Stop every engine."""
        for engine in self.engines.values():
            engine.stop()
        self.engines.clear()

    def started(self, kind: type[Engine], suffix: str = "") -> Engine:
        """A new engine on a fresh disk."""
        scratch = os.path.join(self.work, kind.name + suffix)
        os.mkdir(scratch)
        engine = (
            Proa(self.programs, scratch, self.launcher)
            if kind is Proa
            else kind(self.programs, scratch)
        )
        disk = os.path.join(self.disks, kind.name + suffix)
        sandbox.fresh_disk(disk)
        engine.start(disk)
        return engine

    def shell(self) -> bytes:
        """A static busybox."""
        path = images.busybox()
        if path is None:
            raise spawn.Failed("there is no statically linked busybox; install busybox-static")
        with open(path, "rb") as file:
            return file.read()

    def _image(self) -> str:
        """The image that everybody runs, as a docker-archive."""
        directory = images.directory()
        layer = _gunzip(f"{directory}/{images.ALPINE}") if directory else images.busybox_layer()
        path = os.path.join(self.work, "image.tar")
        with open(path, "wb") as file:
            file.write(images.docker_archive([layer], IMAGE))
        return path

    def _prepare_bundles(self, archive: str, only: set[str]) -> None:
        """Bundles of the specification that proa wrote for its container, or else docker."""
        rootfs = os.path.join(self.disks, "rootfs")
        os.mkdir(rootfs)
        bundles.unpack(archive, rootfs)
        donors = [self.engines[name] for name in ("proa", "docker") if name in self.engines]
        wanted = [name for name in ("crun", "runc") if name in only]
        for donor in donors:
            donor.output(*DETACHED, "--name", "spec", IMAGE, "sleep", "100000")
            try:
                spec = bundles.specification(donor, "spec")
                if spec is None:
                    continue
                for name in wanted:
                    self._prepare_bundle(name, spec, rootfs)
                self.specification_from = donor.name
                return
            finally:
                donor.remove("spec")
        for name in wanted:
            self.skip(name, "neither proa nor docker has written a specification for it")

    def _prepare_bundle(self, name: str, spec: dict[str, Any], rootfs: str) -> None:
        try:
            runtime = Runtime(name, self.programs, self.work)
            runtime.prepare(os.path.join(self.work, f"bundle-{name}"), spec, rootfs)
            runtime.timed()
            self.runtimes[name] = runtime
            self.versions[name] = runtime.version()
        except spawn.Failed as error:
            self.skip(name, error)


RUN = ("run", "--rm", "--network", "none")
DETACHED = ("run", "--detach", "--network", "none")


def _gunzip(path: str) -> bytes:
    import gzip

    with gzip.open(path) as file:
        return file.read()
