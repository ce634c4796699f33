"""proa-runtime as an ordinary user, with the spec that it makes for one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile

import pytest

from tests.support import images
from tests.support.users import User

pytestmark = pytest.mark.root


def test_the_life_of_a_bundle(unprivileged_user: User, binaries: str) -> None:
    program = images.busybox()
    if program is None:
        pytest.skip("no statically linked busybox: install busybox-static")
    bundle = f"{unprivileged_user.home}/bundle"
    os.makedirs(f"{bundle}/rootfs/bin")
    shutil.copy(program, f"{bundle}/rootfs/bin/busybox")
    states = f"{unprivileged_user.home}/session"
    os.mkdir(states, 0o700)
    for path in (bundle, states):
        os.chown(path, unprivileged_user.uid, unprivileged_user.gid)
    subprocess.run(["chown", "-R", str(unprivileged_user.uid), bundle], check=True)

    def runtime(*arguments: str) -> str:
        # a file, not a pipe: a container has it as its own output for as long as it runs
        with tempfile.TemporaryFile("w+") as output:
            code = subprocess.call(
                [*unprivileged_user.command(), f"{binaries}/proa-runtime", *arguments],
                cwd=bundle,
                env={**unprivileged_user.environment(), "XDG_RUNTIME_DIR": states},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=30,
            )
            output.seek(0)
            said = output.read()
        assert code == 0, said
        return said

    runtime("spec", "--rootless")
    with open(f"{bundle}/config.json") as file:
        spec = json.load(file)
    spec["process"]["terminal"] = False
    spec["process"]["args"] = ["/bin/busybox", "sleep", "600"]
    with open(f"{bundle}/config.json", "w") as file:
        json.dump(spec, file)

    runtime("create", "one")
    assert json.loads(runtime("state", "one"))["status"] == "created"
    assert runtime("list").splitlines()[1].split()[-1] == unprivileged_user.name
    runtime("start", "one")
    assert runtime("exec", "one", "/bin/busybox", "id", "-u") == "0\n"
    pid = json.loads(runtime("state", "one"))["pid"]
    assert os.stat(f"/proc/{pid}").st_uid == unprivileged_user.uid
    runtime("delete", "--force", "one")
    left = os.listdir(f"{states}/proa-runtime")
    assert [name for name in left if not name.startswith(".")] == []
