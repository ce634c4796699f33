"""Builds of an ordinary user."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.users import User

pytestmark = pytest.mark.root

_TEXT = """\
FROM box
RUN id -u > /id && mkdir /d && chown 5:6 /d
WORKDIR /w
COPY --chown=5:6 f .
RUN --mount=type=cache,target=/c --mount=type=secret,id=s cat /run/secrets/s > /s; touch /c/x
CMD ["sh", "-c", "cat /id /w/f /s; stat -c %u /w/f /d"]
"""


def test_a_user_builds(box: Command) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        for name, content in (("Dockerfile", _TEXT), ("f", "file\n"), ("secret", "told\n")):
            (path / name).write_text(content)
            (path / name).chmod(0o644)
        flags = ("-q", "-t", "built", "--secret", f"id=s,src={path}/secret")
        first = box.output("build", *flags, directory)
        assert box.output("run", "--rm", "built").split() == ["0", "file", "told", "5", "5"]
        assert box.output("build", *flags, directory) == first


def test_a_user_of_one_id_builds(
    single_id_user: User, proa_as: Callable[[User], Command], images_dir: str
) -> None:
    proa = proa_as(single_id_user)
    proa("import", f"{images_dir}/alpine-minirootfs-3.20.3-x86_64.tar.gz", "box")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        (path / "Dockerfile").write_text("FROM box\nWORKDIR /w\nCOPY f /w/\nRUN cat /w/f > /g\n")
        (path / "f").write_text("file")
        proa("build", "-q", "-t", "built", directory)
        assert proa.output("run", "--rm", "built", "cat", "/g") == "file"


_PROGRAM = """
import sys
from proa import BuildFailed, Engine
from proa.build.events import StepOutput

engine = Engine(sys.argv[1])
text = b"FROM box\\nRUN --mount=type=secret,id=s cat /run/secrets/s > /s; echo working\\n"
told = []
image = engine.images.build(
    sys.argv[2], dockerfile=text, tag="built", secrets={"s": b"\\xff told"}, on_event=told.append
)
print([event.data for event in told if isinstance(event, StepOutput)], image.tags)
print(engine.containers.run("built", ["cat", "/s"], remove=True))
try:
    engine.images.build(sys.argv[2], dockerfile=b"FROM box\\nRUN echo why; exit 3\\n")
except BuildFailed as error:
    print(error.exit_code, error.output, ">>> RUN echo why" in error.excerpt)
print(engine.images.prune_builds()["CachesDeleted"] is not None)
engine.close()
"""


def test_a_users_program_builds(box: Command, binaries: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        python = f"{binaries}/python3"
        (packages,) = Path(binaries).parent.glob("lib/*/site-packages")
        shown = subprocess.run(
            [*box.prefix, python, "-c", _PROGRAM, box.root, directory],
            env={**box.environment, "PYTHONPATH": str(packages)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert shown.stderr == ""
    assert shown.stdout.splitlines() == [
        "[b'working\\n'] ['built:latest']",
        "b'\\xff told'",
        "3 b'why\\n' True",
        "True",
    ]
