"""Bare OCI bundles for the runtimes: crun and runc run what proa's own runtime was given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from typing import Any

from bench import spawn
from bench.engines import Engine
from bench.peers import Programs
from proa.runtime.defaults import DEFAULT_SECCOMP
from proa.runtime.seccomp_profile import default_profile


class Runtime:
    """An OCI runtime with one bundle."""

    def __init__(self, name: str, programs: Programs, scratch: str) -> None:
        path = programs.find(name)
        if path is None:
            raise spawn.Failed(f"there is no program {name}")
        self.name = name
        self.path = path
        self.env = programs.environment()
        self.scratch = scratch
        self.bundle = ""

    def version(self) -> str:
        """The version as the command prints it."""
        return spawn.output([self.path, "--version"], self.env).splitlines()[0].rpartition(" ")[2]

    def prepare(self, bundle: str, spec: dict[str, Any], rootfs: str) -> None:
        """Make the directory `bundle` a bundle that runs `true` by the given specification."""
        spec = json.loads(json.dumps(spec))
        spec["root"]["path"] = rootfs
        spec["process"]["args"] = ["true"]
        spec["process"]["terminal"] = False
        spec["linux"]["cgroupsPath"] = f"/pb-{self.name}"
        spec.pop("hooks", None)  # an engine's own business
        spec["ociVersion"] = "1.0.2"  # crun 1.8 knows none that is newer
        for namespace in spec["linux"]["namespaces"]:
            namespace.pop("path", None)
        os.mkdir(bundle)
        for number, mount in enumerate(spec["mounts"]):
            if "bind" in mount.get("options", ()) or mount.get("type") == "bind":
                _detach(mount, os.path.join(bundle, f"bind-{number}"))
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)
        self.bundle = bundle

    def timed(self) -> float:
        """Run the bundle; milliseconds."""
        argv = [self.path, "--root", f"{self.scratch}/{self.name}-state", "run"]
        argv += ["--bundle", self.bundle, f"pb-{self.name}"]
        return spawn.timed(argv, self.env, f"{self.scratch}/{self.name}.log")


def _detach(mount: dict[str, Any], copy: str) -> None:
    """Make a bind mount of the engine's own files independent of the engine."""
    if os.path.isdir(mount["source"]):  # /dev/shm
        mount.update(type="tmpfs", source="shm", options=["nosuid", "noexec", "nodev"])
    else:  # /etc/hosts and its like
        shutil.copyfile(mount["source"], copy)
        mount["source"] = copy


def unpack(archive: str, rootfs: str) -> None:
    """A root file system out of the only layer of a docker-archive."""
    with tarfile.open(archive) as outer:
        manifest = outer.extractfile("manifest.json")
        assert manifest is not None
        (name,) = json.load(manifest)[0]["Layers"]
        layer = outer.extractfile(name)
        assert layer is not None
        subprocess.run(["tar", "-x", "-C", rootfs], input=layer.read(), check=True)


def specification(engine: Engine, container: str) -> dict[str, Any] | None:
    """The runtime specification of a running container.

    proa keeps it in containers/ID/config.json of its directory, docker's containerd in its
    state directory. None where it is not to be found.
    """
    identity = engine.output("inspect", "--format", "{{.Id}}", container)
    path = {
        "proa": f"{engine.directory}/containers/{identity}/config.json",
        "docker": f"{engine.scratch}/docker/containerd/daemon/io.containerd.runtime.v2.task/moby"
        f"/{identity}/config.json",
    }[engine.name]
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        spec: dict[str, Any] = json.load(file)
    if spec.get("annotations", {}).pop(DEFAULT_SECCOMP, None):
        # proa knows its default filter by name; others have to be given the profile
        bounding = spec["process"]["capabilities"]["bounding"]
        spec["linux"]["seccomp"] = default_profile(bounding, os.uname().machine)
    return spec
