from __future__ import annotations

import pytest

from proa import DockerfileError
from proa.build.dockerfile import instructions as of
from proa.build.dockerfile.arguments import (
    global_arguments,
    platform_arguments,
    stage_arguments,
)
from proa.build.dockerfile.expand import expanded
from proa.build.dockerfile.mount_flag import parse_mount
from proa.build.dockerfile.source import Source, Span
from proa.build.dockerfile.stages import read, read_triggers
from proa.oci.platform import Platform


def one(text: str, **variables: str) -> of.Instruction:
    dockerfile = read(Source(f"FROM a\n{text}\n"))
    (instruction,) = dockerfile.stages[0].instructions
    return expanded(instruction, variables, dockerfile.source)


def test_variables_and_quotes() -> None:
    copy = one('COPY --chown=$u:$u --chmod=$m "$a" \\$b /d/$a', u="me", m="755", a="x y")
    assert isinstance(copy, of.Copy)
    assert (copy.sources, copy.destination) == (("x y", "$b"), "/d/x y")
    assert (copy.chown, copy.chmod) == ("me:me", "755")
    label = one('LABEL "a $x"=\'$x\' b="$x"', x="1")
    assert isinstance(label, of.Label) and label.pairs == (("a 1", "$x"), ("b", "1"))
    expose = one("EXPOSE $ports 90", ports="80 81/udp")
    assert isinstance(expose, of.Expose) and expose.ports == ("80", "81/udp", "90")
    env = one("ENV A=$A:x B=${A:-none}", A="old")
    assert isinstance(env, of.Env) and env.pairs == (("A", "old:x"), ("B", "old"))


def test_what_is_a_shells_affair_stays() -> None:
    for text in ("RUN echo $a '$b'", "CMD $a", 'ENTRYPOINT ["$a"]', "HEALTHCHECK CMD $a"):
        instruction = one(text, a="1", b="2")
        assert "$a" in repr(instruction)
        assert "'1'" not in repr(instruction)


def test_heredocs_that_are_copied() -> None:
    copy = one("COPY <<A <<'B' <<-C /\n$x \"$x\" \\$x\nA\n$x\nB\n\t$x\n\t\ty\nC", x="1")
    assert isinstance(copy, of.Copy)
    assert [heredoc.data for heredoc in copy.heredocs] == ['1 "1" $x\n', "$x\n", "1\ny\n"]


def test_an_error_points_at_the_line() -> None:
    with pytest.raises(DockerfileError, match="version: needed") as caught:
        one("ENV a=b \\\n c=${version:?needed}")
    assert caught.value.line == 2
    assert ">>>  c=${version" in caught.value.excerpt


def test_where_arguments_come_from() -> None:
    dockerfile = read(
        Source(
            "ARG a=1 b=$a-2\nARG c d=default\nFROM x\nARG a\nARG b=own d=${b}x TARGETARCH none\n"
        )
    )
    here = Platform("linux", "amd64")
    there = Platform("linux", "arm64", "v9")
    predefined = platform_arguments(here, there, "build")
    assert predefined["TARGETPLATFORM"] == "linux/arm64/v9"
    assert predefined["BUILDARCH"] == "amd64"
    assert predefined["TARGETSTAGE"] == "build"
    source = dockerfile.source
    values, declared = global_arguments(
        dockerfile.arguments, {"d": "given"}, predefined, source, "\\"
    )
    assert declared == {"a", "b", "c", "d"}
    assert (values["a"], values["b"], values["d"]) == ("1", "1-2", "given")
    assert "c" not in values
    seen: dict[str, str] = {}
    found = {}
    for instruction in dockerfile.stages[0].instructions:
        assert isinstance(instruction, of.Arg)
        found = stage_arguments(
            instruction,
            seen,
            given={"d": "given"},
            global_values=values,
            source=source,
            escape="\\",
        )
        seen.update({name: value for name, value in found.items() if value is not None})
    assert seen == {"a": "1", "b": "own", "d": "given", "TARGETARCH": "arm64"}
    assert found["none"] is None


def test_stages_by_name_and_number() -> None:
    dockerfile = read(Source("FROM a AS One\nFROM one AS two\nFROM b\n"))
    assert dockerfile.stage("").index == 2
    assert dockerfile.stage("ONE").index == 0
    assert dockerfile.stage("1").start.alias == "two"
    assert dockerfile.find("two", before=1) is None
    with pytest.raises(Exception, match="did you mean two"):
        dockerfile.stage("twoo")


def test_triggers_of_a_base_image() -> None:
    source = Source("FROM parent\n")
    found = read_triggers(
        ["RUN make", "COPY <<E /x\nlate\nE", "run <<A <<B\n1\nA\n2\nB"], source, Span(1, 1), "\\"
    )
    assert [instruction.name for instruction in found] == ["RUN", "COPY", "RUN"]
    assert isinstance(found[2], of.Run)
    assert [heredoc.content for heredoc in found[2].heredocs] == ["1\n", "2\n"]
    with pytest.raises(DockerfileError, match="line 1"):
        read_triggers(["FROM x"], source, Span(1, 1), "\\")
    with pytest.raises(DockerfileError, match="unterminated"):
        read_triggers(["RUN <<X\n"], source, Span(1, 1), "\\")


def test_mounts() -> None:
    cache = parse_mount("type=cache,id=x,target=/c,sharing=locked,uid=5,mode=0750,ro,from=a")
    assert (cache.sharing, cache.uid, cache.mode, cache.from_) == ("locked", 5, 0o750, "a")
    assert cache.read_only
    bind = parse_mount("target=/x,source=$s,rw", lambda text: text.replace("$s", "lib"))
    assert (bind.kind, bind.source, bind.read_only) == ("bind", "lib", False)
    assert parse_mount("type=bind,dst=/x").read_only
    assert parse_mount("type=tmpfs,target=/x,size=10m").size == 10 << 20
    secret = parse_mount("type=secret,target=/run/aws,required")
    assert (secret.id, secret.required) == ("aws", True)
    assert parse_mount("type=secret,id=a,env=TOKEN").variable == "TOKEN"
    assert parse_mount('type=bind,"source=a,b",target=/x').source == "a,b"
