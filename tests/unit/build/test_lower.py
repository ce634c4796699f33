from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from proa import BuildFailed, DockerfileError, ImageNotFound, Unavailable
from proa.build.dockerfile.source import Source
from proa.build.dockerfile.stages import read
from proa.build.graph import ContextOp, CopyOp, DirectoryOp, ImageOp, RunOp
from proa.build.lower import Lowered, lower
from proa.build.options import BuildOptions
from proa.lean.record import record
from proa.oci.platform import Platform

HERE = Platform("linux", "amd64")


@record
class Known:
    id: str = "sha256:1"
    config: Mapping[str, object] = MappingProxyType(
        {"config": {"Env": ["FROM=base"], "Cmd": ["sh"]}}
    )
    layers: tuple[str, ...] = ("sha256:a",)


def resolve(name: str, _platform: Platform) -> Known:
    if name == "base":
        return Known()
    if name == "away":
        raise Unavailable("the registry does not answer")
    raise ImageNotFound(f"no such image: {name}")


def lowered(text: str, **options: object) -> Lowered:
    wanted = BuildOptions(platform=HERE, **options)  # type: ignore[arg-type]
    return lower(read(Source(text)), wanted, resolve)


def test_only_what_the_target_needs_is_in_its_way() -> None:
    found = lowered("FROM base AS a\nRUN a\nFROM base AS b\nRUN b\nFROM a\nRUN c\n")
    needed = found.graph.needed(found.state.vertex)
    assert [type(vertex.op) for vertex in needed] == [ImageOp, RunOp, RunOp]


def test_what_is_the_same_is_one_vertex() -> None:
    found = lowered(
        "FROM base AS a\nRUN x\nFROM base AS b\nRUN x\nFROM scratch\n"
        "COPY --from=a / /\nCOPY --from=b / /\nCOPY f /\n"
    )
    kinds = [type(vertex.op) for vertex in found.graph.needed(found.state.vertex)]
    assert kinds.count(RunOp) == 1
    assert kinds.count(ContextOp) == 1


def test_what_a_step_sees() -> None:
    found = lowered(
        "ARG V=1\nFROM base\nARG V\nENV E=$V W=$FROM\nWORKDIR /a\nWORKDIR b\nUSER me\n"
        "RUN --network=none echo\nCOPY x y/\n"
    )
    ops = [vertex.op for vertex in found.graph.needed(found.state.vertex)]
    run = next(op for op in ops if isinstance(op, RunOp))
    assert run.arguments == ("/bin/sh", "-c", "echo")
    assert (run.working_dir, run.user, run.network) == ("/a/b", "me", "none")
    environment = dict(item.split("=", 1) for item in run.environment)
    assert (environment["V"], environment["E"], environment["W"]) == ("1", "1", "base")
    assert [op.path for op in ops if isinstance(op, DirectoryOp)] == ["/a", "/a/b"]
    copy = next(op for op in ops if isinstance(op, CopyOp))
    assert copy.destination == "/a/b/y/"


def test_a_new_entrypoint_takes_the_command_away_unless_there_is_one() -> None:
    assert "Cmd" not in lowered('FROM base\nENTRYPOINT ["x"]\n').state.config
    both = lowered('FROM base\nCMD ["y"]\nENTRYPOINT ["x"]\n').state.config
    assert (both["Cmd"], both["Entrypoint"]) == (["y"], ["x"])


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nCOPY --from=a / /\n", "b → a → b", 3),
        ("FROM base AS a\nCOPY --from=a / /\n", "a → a", 1),
        ("FROM bsae\n", "no such image: bsae", 1),
        ("FROM base AS one\nFROM on\n", "did you mean one", 2),
        ("FROM $nothing\n", "should not be blank", 1),
        ("FROM --platform=linux/nope base\n", "unknown platform", 1),
        ("FROM base\nRUN --mount=type=cache,target=/x,mode=9 y\n", "mode", 2),
        ("FROM base\nADD --checksum=sha256:0 here /x\n", "non-HTTP", 2),
    ],
)
def test_what_cannot_be_lowered(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        lowered(text)
    assert caught.value.line == line


def test_an_image_that_cannot_be_had_is_told_with_its_line() -> None:
    with pytest.raises(BuildFailed, match="does not answer") as caught:
        lowered("FROM base\nFROM away\n")
    assert "2 | >>> FROM away" in caught.value.excerpt


def test_arguments_that_nobody_asked_for() -> None:
    given = {"A": "1", "B": "2", "http_proxy": "x"}
    assert lowered("FROM base\nARG A\n", build_args=given).unused_arguments == ("B",)
