"""`build`: from a Dockerfile to an image that runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.builds import Context, holds, steps
from tests.support.command import Command

pytestmark = pytest.mark.root


@pytest.fixture
def context(alpine: Command, tmp_path: Path) -> Context:
    return Context(alpine, tmp_path)


def test_an_image_is_built_and_runs(context: Context) -> None:
    context.write("index.html", "hello\n")
    context.build(
        """\
FROM alpine
MAINTAINER somebody
RUN echo -e '[site]\\nname=site repo\\nenabled=1' > /etc/site.repo
WORKDIR /srv/www
COPY index.html .
ENV GREETING="good day" NAME=$HOME
ARG WHO=you
LABEL a.b="$WHO" c='$WHO'
EXPOSE 80 9000-9001/udp
VOLUME /data
USER 7:8
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --retries=2 CMD true
ENTRYPOINT ["sh", "-c"]
CMD ["cat index.html; id -u; pwd; echo $GREETING; grep name /etc/site.repo"]
"""
    )
    assert context.run().splitlines() == ["hello", "7", "/srv/www", "good day", "name=site repo"]
    config = json.loads(context.inspect("{{json .Config}}"))
    assert config["Labels"] == {"a.b": "you", "c": "$WHO"}
    assert set(config["ExposedPorts"]) == {"80/tcp", "9000/udp", "9001/udp"}
    assert config["Volumes"] == {"/data": {}}
    assert (config["User"], config["WorkingDir"]) == ("7:8", "/srv/www")
    assert config["StopSignal"] == "SIGQUIT"
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert context.inspect("{{.Author}}") == "somebody"
    history = context.proa.output("history", "--no-trunc", "--format", "{{.CreatedBy}}", "built")
    assert "RUN /bin/sh -c echo -e" in history
    assert history.splitlines()[0].startswith('CMD ["cat index.html')


def test_what_is_built_is_not_built_again(context: Context) -> None:
    context.write("a", "1")
    context.write("b", "2")
    text = "FROM alpine\nCOPY a /a\nRUN date +%N > /when\nCOPY b /b\nRUN cat /a /b > /c\n"
    first = steps(context.build(text))
    assert set(first.values()) == {"DONE", "CACHED"}
    assert first["RUN date +%N > /when"] == "DONE"
    image = context.image_id()

    again = steps(context.build(text))
    assert all(again[name] == "CACHED" for name in again if name.startswith(("RUN", "COPY")))
    assert context.image_id() == image

    os.utime(context.path / "b", (1, 1))
    assert steps(context.build(text))["COPY b /b"] == "CACHED"

    context.write("b", "3")
    changed = steps(context.build(text))
    assert changed["RUN date +%N > /when"] == "CACHED"
    assert changed["COPY b /b"] == changed["RUN cat /a /b > /c"] == "DONE"
    assert context.run("cat", "/c") == "13"

    assert steps(context.build(text, "--no-cache"))["COPY a /a"] == "DONE"


def test_a_change_within_the_same_instant_is_seen(context: Context) -> None:
    text = "FROM alpine\nCOPY f /f\n"
    for number in range(3):
        path = context.write("f", str(number))
        os.utime(path, (1000, 1000))
        context.build(text)
        assert context.run("cat", "/f") == str(number)


def test_a_mode_and_a_link_count_and_an_owner_does_not(context: Context) -> None:
    text = "FROM alpine\nCOPY . /x/\n"
    path = context.write("f", "x", 0o644)
    (context.path / "l").symlink_to("f")
    context.build(text)
    os.chown(path, 7, 7)
    assert steps(context.build(text))["COPY . /x/"] == "CACHED"
    path.chmod(0o755)
    assert steps(context.build(text))["COPY . /x/"] == "DONE"
    (context.path / "l").unlink()
    (context.path / "l").symlink_to("g")
    assert steps(context.build(text))["COPY . /x/"] == "DONE"
    assert context.run("stat", "-c", "%a %u", "/x/f") == "755 0"
    assert context.run("readlink", "/x/l") == "g"


def test_it_says_why_a_step_was_not_cached(context: Context) -> None:
    context.write("src/a.c", "1")
    context.write("src/b.c", "1")
    text = "FROM alpine\nARG V=1\nCOPY src /src\nRUN echo $V\n"
    assert "not cached: it was never built here" in context.build(text, "--explain")
    context.write("src/b.c", "2")
    context.write("src/c.c", "2")
    shown = context.build(text, "--explain")
    assert "not cached: content changed; file b.c changed; file c.c is new" in shown
    assert "not cached: the step before it gave another result" in shown
    shown = context.build(text, "--explain", "--build-arg", "V=2")
    assert "not cached: build arguments and environment V changed" in shown
    shown = context.build(text.replace("echo $V", "echo"), "--explain")
    assert "not cached: the instruction changed; it was: RUN echo $V" in shown


def test_stages(context: Context) -> None:
    text = """\
FROM alpine AS one
RUN echo 1 > /one
FROM alpine AS two
RUN echo 2 > /two; false
FROM one AS three
RUN echo 3 >> /one
FROM scratch
COPY --from=three /one /
COPY --from=alpine /etc/os-release /
COPY --from=0 /one /first
"""
    shown = steps(context.build(text))
    assert not any("two" in name for name in shown)
    listed = subprocess.run(
        ["tar", "-t"], input=_exported(context), capture_output=True, check=True
    ).stdout
    assert set(listed.split()) >= {b"one", b"os-release", b"first"}
    context.build(text, "--target", "three")
    assert context.run("cat", "/one") == "1\n3"
    assert (
        "target stage 'thre' could not be found"
        in context.proa("build", "--target", "thre", str(context.path), code=1).stderr
    )


def _exported(context: Context) -> bytes:
    """The files of what was built, by way of an image that has a shell."""
    context.proa("build", "-t", "shown", "-f", "-", str(context.path), input=_SHOW)
    return subprocess.run(
        context.proa.argv("run", "--rm", "--network", "none", "shown"),
        capture_output=True,
        check=True,
        env=context.proa.environment,
    ).stdout


_SHOW = "FROM alpine\nCOPY --from=built / /x/\nCMD tar -C /x -c $(ls /x)\n"


COPIES = [
    ("COPY a /x", {"x": "a"}),
    ("COPY a /x/", {"x/a": "a"}),
    ("COPY a b /x/", {"x/a": "a", "x/b": "b"}),
    ("COPY d /x", {"x/e/f": "f", "x/g": "g"}),
    ("COPY d/ /x/", {"x/e/f": "f", "x/g": "g"}),
    ("COPY d a /x/", {"x/e/f": "f", "x/g": "g", "x/a": "a"}),
    ("COPY [ab] /x/", {"x/a": "a", "x/b": "b"}),
    ("COPY d/*/f /x/", {"x/f": "f"}),
    ("COPY none* a /x/", {"x/a": "a"}),
    ("COPY . /x/", {"x/a": "a", "x/b": "b", "x/d/e/f": "f", "x/d/g": "g"}),
    ("COPY /a ../../b /x/", {"x/a": "a", "x/b": "b"}),
    ("COPY --parents d/e/f a /x/", {"x/d/e/f": "f", "x/a": "a"}),
    ("COPY --parents d/./e/f /x/", {"x/e/f": "f"}),
    ("COPY --exclude=g --exclude=**/nothing d /x/", {"x/e/f": "f"}),
    ("COPY --exclude=**/f d /x/", {"x/g": "g"}),
    ("COPY --link a /x/y/", {"x/y/a": "a"}),
    ("WORKDIR /x\nCOPY a .", {"x/a": "a"}),
    ("WORKDIR /x\nCOPY a y", {"x/y": "a"}),
    ('COPY ["a", "/x/with blank"]', {"x/with blank": "a"}),
    ("ARG n=a\nCOPY ${n} /x/$n", {"x/a": "a"}),
    ("COPY <<E /x\nhello $HOME ${no:-none}\nE", {"x": "hello  none\n"}),
    ("COPY <<a.txt <<'b.txt' /x/\n1\na.txt\n$2\nb.txt", {"x/a.txt": "1\n", "x/b.txt": "$2\n"}),
    ("COPY a /x\nCOPY b /x", {"x": "b"}),
    ("RUN mkdir /y && ln -s /y /x\nCOPY a /x/", {"x": "-> /y", "y/a": "a"}),
    ("RUN mkdir /y && ln -s /y /x\nCOPY a /x", {"x": "-> /y", "y/a": "a"}),
]


@pytest.mark.parametrize(("text", "expected"), COPIES, ids=[text for text, _ in COPIES])
def test_what_copy_copies(context: Context, text: str, expected: dict[str, str]) -> None:
    for name, content in {"a": "a", "b": "b", "d/e/f": "f", "d/g": "g"}.items():
        context.write(name, content)
    context.write(".dockerignore", "Dockerfile\n.dockerignore")
    context.build(f"FROM alpine\n{text}\n")
    script = """cd /; find x y ! -type d 2>/dev/null | while read -r name; do
        printf '%s=' "$name"; if [ -L "$name" ]; then printf -- '-> %s' "$(readlink "$name")"
        else cat "$name"; fi; printf '\\0'; done"""
    shown = context.proa("run", "--rm", "--network", "none", "built", "sh", "-c", script).stdout
    assert dict(item.split("=", 1) for item in shown.split("\0")[:-1]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("COPY nothing /x", "no such file in the build context: /nothing"),
        ("COPY subb /x", "did you mean sub?"),
        ("COPY secret.txt /x", "excluded by .dockerignore"),
        ("COPY a b /x", "must be a directory and end with a /"),
        ("COPY a /etc/passwd/", "no directory"),
        ("COPY --chmod=9 a /x", "invalid chmod"),
        ("COPY --chown=nobodyhere a /x", "unable to find user nobodyhere"),
        ("RUN mkdir -p /x/a\nCOPY a /x/", "cannot copy to directory: /x/a"),
        ("RUN mkdir /x && touch /x/deep\nCOPY sub /x", "cannot copy to non-directory: /x/deep"),
        ("COPY --from=127.0.0.1:1/stage /x /y", "127.0.0.1:1"),
        ("RUN --mount=type=secret,id=q,required true", "secret q: not found"),
        ("RUN --security=insecure true", "--allow security.insecure"),
        ("USER nobodyhere\nRUN true", "unable to find user nobodyhere"),
        ('RUN ["/no/such"]', "no such file"),
        ("EXPOSE 99999", "range of ports"),
        ("STOPSIGNAL NOPE", "not a signal"),
        ("COPY --from=7 /a /b", "invalid stage index 7"),
    ],
)
def test_what_cannot_be_done(context: Context, text: str, message: str) -> None:
    context.write("a", "a")
    context.write("b", "b")
    context.write("sub/deep/f", "f")
    context.write("secret.txt", "x")
    context.write(".dockerignore", "secret*")
    shown = context.build(f"FROM alpine\n{text}\n", code=1)
    assert message in shown
    assert f">>> {text.splitlines()[-1]}" in shown
    assert context.proa.output("images", "-q", "built") == ""


def test_a_failed_command_shows_its_lines_and_its_output(context: Context) -> None:
    shown = context.build("FROM alpine\nRUN echo before; echo why >&2; \\\n    exit 7\n", code=1)
    assert "exit code: 7" in shown
    assert " > [2/2] RUN echo before" in shown
    assert "   3 | >>>     exit 7" in shown
    assert shown.splitlines()[-1].startswith("ERROR: failed to build: ")
    ended = shown[shown.index("------") :]
    assert "before\nwhy\n" in ended


def test_independent_steps_run_at_the_same_time_and_stop_together(context: Context) -> None:
    text = """\
FROM alpine AS a
RUN --mount=type=cache,target=/m touch /m/a; while [ ! -e /m/b ]; do sleep 0.05; done
FROM alpine AS b
RUN --mount=type=cache,target=/m touch /m/b; while [ ! -e /m/a ]; do sleep 0.05; done; exit 3
FROM alpine
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
"""
    assert "exit code: 3" in context.build(text, code=1)
    endless = text.replace("done\nFROM", "done; sleep 1000\nFROM")
    shown = context.build(endless, code=1)
    assert "CANCELED" in shown


def test_mounts(context: Context) -> None:
    context.write("lib/f", "from the context")
    context.write("lib/ignored", "x")
    context.write(".dockerignore", "**/ignored")
    context.build(
        """\
FROM alpine AS other
RUN echo other > /o
FROM alpine
RUN --mount=type=bind,source=lib,target=/m,rw \\
    --mount=from=other,source=/o,target=/deep/o \\
    --mount=type=tmpfs,target=/t/mp \\
    --mount=type=cache,id=c,target=/cache,mode=0711,uid=5 \\
    cat /m/f /deep/o > /out; ls /m >> /out; stat -c '%a %u' /cache >> /out; \\
    touch /m/new /t/mp/x /cache/kept; ! touch /deep/o
RUN --mount=type=cache,id=c,target=/elsewhere ls /elsewhere >> /out; find / -xdev >/dev/null
"""
    )
    assert context.run("cat", "/out").splitlines() == [
        "from the contextother",
        "f",
        "711 5",
        "kept",
    ]
    assert not (context.path / "lib/new").exists()
    assert context.run("sh", "-c", "ls -d /m /deep /t /cache /elsewhere 2>/dev/null || true") == ""


def test_a_secret_is_seen_by_its_command_alone(context: Context) -> None:
    secret = "s3kr1t-" + os.urandom(8).hex()
    context.write("Dockerfile", "x")
    secret_file = context.path.parent / "the-secret"
    secret_file.write_text(secret)
    text = """\
FROM alpine
RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c > /length
RUN --mount=type=secret,id=token,target=/root/t,mode=0440,gid=3 stat -c '%a %g' /root/t > /mode
RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN} >> /length
RUN --mount=type=secret,id=missing test ! -e /run/secrets/missing; ls -d /run/secrets || true
"""
    shown = context.build(text, "--secret", f"id=token,src={secret_file}")
    assert context.run("cat", "/length", "/mode").split() == [
        str(len(secret)),
        str(len(secret)),
        "440",
        "3",
    ]
    assert secret not in shown
    assert holds(context.proa.root, secret.encode()) == []


def test_scripts_in_the_dockerfile(context: Context) -> None:
    context.build(
        """\
FROM alpine
RUN <<EOF
set -e
x=1
echo "$x" > /a
EOF
RUN <<-"END" cat > /b
	$y
	END
RUN <<EOF
#!/bin/cat
a program
EOF
SHELL ["/bin/sh", "-e", "-c"]
RUN cat <<A && cat <<B >> /a
echo no
A
two
B
"""
    )
    assert context.run("cat", "/a") == "1\ntwo"
    assert context.run("cat", "/b") == "$y"


def test_what_an_image_left_for_its_children(context: Context) -> None:
    context.write("app", "the app")
    context.build("FROM alpine\nONBUILD COPY app /app\nONBUILD RUN wc -c < /app > /size\n")
    assert not context.run("sh", "-c", "ls /app 2>/dev/null || true")
    context.proa("tag", "built", "parent")
    context.build("FROM parent\nRUN cat /size > /after\n")
    assert context.run("cat", "/after") == "7"
    assert context.inspect("{{json .Config.OnBuild}}") == "null"


def test_arguments(context: Context) -> None:
    text = """\
ARG BASE=alpine
ARG SHARED=global
FROM $BASE AS first
ARG SHARED
ARG OWN=default
ENV FROM_ENV=env
ARG FROM_ENV=arg
RUN echo "$SHARED $OWN $FROM_ENV $TARGETARCH" > /one
FROM first
ARG TARGETARCH
RUN echo "$OWN $TARGETARCH $http_proxy" > /two
"""
    context.build(text, "--build-arg", "OWN=given", "--build-arg", "http_proxy=p:1")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    assert context.run("cat", "/one") == "global given env "
    assert context.run("cat", "/two") == f"given {machine} p:1"
    shown = context.build(text, "--build-arg", "OWN=given", "--build-arg", "http_proxy=q:2")
    assert "DONE" not in {steps(shown)[name] for name in steps(shown) if name.startswith("RUN")}
    assert "were not consumed: NOPE" in context.build(text, "--build-arg", "NOPE=1")


def test_links_lead_nowhere_else(context: Context) -> None:
    """Neither a link in the context nor one in a lower layer reaches the host."""
    outside = context.path.parent / "outside"
    outside.mkdir()
    (outside / "private").write_text("the host's")
    (context.path / "out").symlink_to(outside)
    (context.path / "up").symlink_to("../outside/private")
    shown = context.build("FROM alpine\nCOPY out/private /x\n", code=1)
    assert "no such file in the build context" in shown
    assert "no such file in the build context" in context.build("FROM alpine\nCOPY up /x\n", code=1)
    context.write("f", "mine")
    context.build(f"FROM alpine\nRUN ln -s {outside} /way\nCOPY f /way/private\n")
    assert (outside / "private").read_text() == "the host's"
    assert context.run("cat", f"{outside}/private") == "mine"
    context.build("FROM alpine\nCOPY . /x/\n")
    assert context.run("readlink", "/x/up") == "../outside/private"


def test_the_same_with_a_given_date_everywhere(context: Context, tmp_path: Path) -> None:
    context.write("f", "x")
    text = "FROM scratch\nWORKDIR /a\nCOPY f /a/\nCOPY <<E /b\nhi\nE\nENV c=d\n"
    ids = []
    for number in range(2):
        other = Command(context.proa.path, str(tmp_path / f"root{number}"))
        other.environment["SOURCE_DATE_EPOCH"] = "1000000"
        os.utime(context.path / "f", (2_000_000 + number,) * 2)
        context.write("Dockerfile", text)
        id_file = tmp_path / "id"
        other("build", "-q", "--iidfile", str(id_file), str(context.path))
        ids.append(id_file.read_text())
        assert other.output("image", "inspect", "-f", "{{.Created}}", ids[-1]).startswith(
            "1970-01-12T13:46:40"
        )
    assert ids[0] == ids[1]


def test_ways_to_say_it(context: Context) -> None:
    context.write("sub/My.Dockerfile", "FROM alpine\nCOPY . /x\nRUN ls /x > /list\n")
    context.write("sub/My.Dockerfile.dockerignore", "*\n!seen")
    context.write(".dockerignore", "seen")
    context.write("seen", "x")
    path = str(context.path / "sub/My.Dockerfile")
    result = context.proa(
        *("build", "-q", "-t", "built", "-t", "second:2", "-f", path, "--label", "a=b"),
        *("--metadata-file", str(context.path / "meta"), str(context.path)),
    )
    assert result.stderr == ""
    assert result.stdout.strip() == context.image_id()
    assert context.run("cat", "/list") == "seen"
    assert context.inspect('{{index .Config.Labels "a"}}') == "b"
    assert context.proa.output("images", "-q", "second:2")
    metadata = json.loads((context.path / "meta").read_text())
    assert metadata["containerimage.config.digest"] == context.image_id()
    shown = context.proa(
        "build", "--progress", "rawjson", "-f", "-", str(context.path), input="FROM alpine\n"
    ).stderr
    assert all(json.loads(line) for line in shown.splitlines())
    assert (
        "invalid progress mode"
        in context.proa("build", "--progress", "loud", str(context.path), code=1).stderr
    )
    assert (
        "no such file: Dockerfile"
        in context.proa("build", str(context.path / "sub"), code=1).stderr
    )
    assert "FROM 127.0.0.1:1/nothing" in context.build("FROM 127.0.0.1:1/nothing\n", code=1)


def test_further_contexts(context: Context) -> None:
    other = context.path.parent / "other"
    other.mkdir()
    (other / "f").write_text("other")
    text = "FROM base\nCOPY --from=more f /f\n"
    context.build(
        text, "--build-context", f"more={other}", "--build-context", "base=docker-image://alpine"
    )
    assert context.run("cat", "/f") == "other"


def test_the_check(context: Context) -> None:
    context.write("Dockerfile", "FROM alpine as One\nCMD echo\n")
    shown = context.proa("build", "--check", str(context.path), code=1).stdout
    assert shown.startswith("Check complete, 3 warnings have been found!")
    assert "WARNING: JSONArgsRecommended" in shown
    assert "WARN: StageNameCasing" in context.build()
    context.write("Dockerfile", "# check=error=true\nFROM alpine AS One\n")
    assert "lint violation found for rules: StageNameCasing" in context.build(code=1)
    context.write("Dockerfile", "FROM alpine\n")
    assert context.proa("build", "--check", str(context.path)).stdout == (
        "Check complete, no warnings found.\n"
    )


def test_a_command_may_leave_processes_and_write_much(context: Context) -> None:
    context.build(
        "FROM alpine\n"
        "RUN (sleep 1000; echo late) & sleep 1000 & echo now > /now\n"
        "RUN yes 0123456789012345678901234567890123456789 | head -c 30000000\n"
    )
    assert context.run("cat", "/now") == "now"


def test_a_build_that_is_killed_goes_on_from_the_cache(context: Context) -> None:
    text = (
        "FROM alpine\nRUN date +%N > /when\n"
        "RUN --mount=type=cache,target=/m touch /m/up; test -e /m/go || sleep 1000\n"
    )
    context.write("Dockerfile", text)
    process = subprocess.Popen(
        context.proa.argv("build", str(context.path)),
        env=context.proa.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    mounts = Path(context.proa.root, "build", "mounts")
    _until(lambda: any(mounts.glob("*/data/up")))
    process.kill()
    process.wait()
    (up,) = mounts.glob("*/data/up")
    up.with_name("go").touch()
    shown = steps(context.build(text))
    assert shown["RUN date +%N > /when"] == "CACHED"
    assert os.listdir(Path(context.proa.root, "build", "work")) == []


def _until(condition: object) -> None:
    assert callable(condition)
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_two_builds_do_a_step_once(context: Context) -> None:
    context.write(
        "Dockerfile",
        "FROM alpine\nRUN --mount=type=cache,target=/m echo x >> /m/log; sleep 0.5; date > /w\n",
    )
    processes = [
        subprocess.Popen(
            context.proa.argv("build", "-q", str(context.path)),
            env=context.proa.environment,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    outputs = {process.communicate()[0] for process in processes}
    assert len(outputs) == 1
    assert [process.returncode for process in processes] == [0, 0, 0]
    (log,) = Path(context.proa.root, "build", "mounts").glob("*/data/log")
    assert log.read_text() == "x\n"


def test_what_the_cache_needs_is_not_collected(context: Context) -> None:
    text = "FROM alpine\nRUN date +%N > /when\n"
    context.build(text)
    first = context.image_id()
    context.proa("rmi", "built")
    context.proa("image", "prune", "-f")
    context.build(text)
    assert context.image_id() == first


def test_the_cache_is_pruned(context: Context) -> None:
    context.build("FROM alpine\nRUN --mount=type=cache,target=/m echo 1 > /m/x; echo 1 > /one\n")
    context.build("FROM alpine\nRUN head -c 100000 /dev/zero > /two\n")
    context.proa("rmi", "built")
    prune = ("builder", "prune", "-f")
    assert context.proa.output(*prune, "--filter", "until=1h") == "Total reclaimed space: 0B"
    assert "Total reclaimed space: 0B" in context.proa.output(*prune, "--keep-storage", "1g")
    shown = context.proa.output(*prune, "--filter", "description=/one")
    assert shown.startswith("ID\n") and "Total reclaimed space" in shown
    shown = steps(context.build("FROM alpine\nRUN head -c 100000 /dev/zero > /two\n"))
    assert shown["RUN head -c 100000 /dev/zero > /two"] == "CACHED"
    assert list(Path(context.proa.root, "build", "mounts").iterdir())
    context.proa(*prune, "--all")
    assert list(Path(context.proa.root, "build", "mounts").iterdir()) == []
    shown = steps(context.build("FROM alpine\nRUN head -c 100000 /dev/zero > /two\n"))
    assert shown["RUN head -c 100000 /dev/zero > /two"] == "DONE"
    assert "invalid filter" in context.proa(*prune, "--filter", "x=y", code=1).stderr


def test_a_shell_where_it_failed(context: Context) -> None:
    context.write(
        "Dockerfile", "FROM alpine\nWORKDIR /w\nENV A=b\nRUN echo left > behind; exit 4\n"
    )
    result = context.proa(
        *("build", "--on-error=shell", "--progress=quiet", str(context.path)),
        input="cat behind; pwd; echo $A\n",
        code=1,
    )
    assert result.stdout == "left\n/w\nb\n"
    assert "exit code: 4" in result.stderr
    assert context.proa.output("images", "-aq").count("\n") == 0
    assert context.proa.output("ps", "-aq") == ""


def test_what_a_terminal_shows(context: Context) -> None:
    context.write("Dockerfile", "FROM alpine\nRUN echo seen; sleep 0.3\nRUN exit 3\n")
    process, terminal = context.proa.start_on_terminal("build", str(context.path))
    shown = b""
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:
        pass  # the other side was closed
    finally:
        os.close(terminal)
    assert process.wait() == 1
    assert b"[+] Building" in shown and b"=> => seen" in shown
    assert b"ERROR [3/3] RUN exit 3" in shown
    assert b"exit code: 3" in shown


def test_outputs(context: Context, tmp_path: Path) -> None:
    context.write("f", "content")
    context.write("Dockerfile", "FROM scratch\nCOPY f /d/f\nCOPY --chmod=600 f /g\n")
    out = tmp_path / "out"
    context.proa("build", "-q", "-o", str(out), str(context.path))
    assert (out / "d/f").read_text() == "content"
    assert (out / "g").stat().st_mode & 0o777 == 0o600
    assert (out / "g").stat().st_uid == os.geteuid()
    listed = subprocess.run(
        context.proa.argv("build", "--progress=quiet", "-o", "-", str(context.path)),
        env=context.proa.environment,
        capture_output=True,
        check=True,
    ).stdout
    names = subprocess.run(["tar", "-t"], input=listed, capture_output=True, check=True).stdout
    assert names.split() == [b"d/", b"g", b"d/f"]
    for kind in ("oci", "docker"):
        flags = (
            "-o",
            f"type={kind},dest={tmp_path}/{kind}.tar",
            "-o",
            f"type=tar,dest={tmp_path}/t",
        )
        context.proa("build", "-q", "-t", "named:1", *flags, str(context.path))
        other = Command(context.proa.path, str(tmp_path / f"root-{kind}"))
        assert other.output("load", "-i", f"{tmp_path}/{kind}.tar") == "Loaded image: named:1"
    for text, message in (
        ("type=local", "dest is required"),
        ("type=nope", "needs a type"),
        ("type=tar,dst=x", "did you mean dest?"),
        ("type=registry", "takes a name"),
    ):
        result = context.proa("build", "-q", "-o", text, str(context.path), code=1)
        assert message in result.stderr
