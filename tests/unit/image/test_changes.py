"""`import -c`: instructions of a Dockerfile, with Docker's results."""

from __future__ import annotations

from typing import Any

import pytest

from proa.errors import InvalidArgument
from proa.image.changes import apply_changes


@pytest.mark.parametrize(
    ("change", "defaults"),
    [
        ('CMD ["sh", "-c", "echo $HOME"]', {"Cmd": ["sh", "-c", "echo $HOME"]}),
        ("CMD echo $HOME", {"Cmd": ["/bin/sh", "-c", "echo $HOME"]}),
        ("cmd  ['sh']", {"Cmd": ["/bin/sh", "-c", "['sh']"]}),
        ("CMD []", {"Cmd": []}),
        ('ENTRYPOINT ["/init"]', {"Entrypoint": ["/init"]}),
        ("ENV A=1 B='two words' C=three\\ words", {"Env": ["A=1", "B=two words", "C=three words"]}),
        ("ENV A one two", {"Env": ["A=one two"]}),
        ('ENV A="a \\"b\\" $B"', {"Env": ['A=a "b" ']}),
        ("ENV A='$B'", {"Env": ["A=$B"]}),
        ("ENV A=\\$B", {"Env": ["A=$B"]}),
        ("ENV A=", {"Env": ["A="]}),
        ("EXPOSE 80 443/tcp 53/udp", {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}, "53/udp": {}}}),
        ("EXPOSE 8000-8001", {"ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}}}),
        ("LABEL a=1 b.c='d e'", {"Labels": {"a": "1", "b.c": "d e"}}),
        ("LABEL a b c", {"Labels": {"a": "b c"}}),
        ("USER 1000:1000", {"User": "1000:1000"}),
        ('VOLUME ["/a b", "/c"]', {"Volumes": {"/a b": {}, "/c": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ("WORKDIR /a/./b/../c/", {"WorkingDir": "/a/c"}),
        ("WORKDIR a", {"WorkingDir": "/a"}),
        ("STOPSIGNAL SIGUSR1", {"StopSignal": "SIGUSR1"}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("ONBUILD RUN make", {"OnBuild": ["RUN make"]}),
        ("HEALTHCHECK NONE", {"Healthcheck": {"Test": ["NONE"]}}),
        (
            "HEALTHCHECK --interval=1m30s --timeout=5s --retries=3 --start-period=0 CMD curl -f x",
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "curl -f x"],
                    "Interval": 90 * 10**9,
                    "Timeout": 5 * 10**9,
                    "Retries": 3,
                    "StartPeriod": 0,
                }
            },
        ),
        ('HEALTHCHECK CMD ["curl", "x"]', {"Healthcheck": {"Test": ["CMD", "curl", "x"]}}),
    ],
)
def test_one(change: str, defaults: dict[str, Any]) -> None:
    assert apply_changes({}, [change]) == defaults


def test_several() -> None:
    assert apply_changes(
        {"Env": ["PATH=/bin", "A=0"], "Cmd": ["sh"], "Labels": None},
        [
            "ENV A=1",
            "ENV B=${A}2 C=${D:-d} D=${A:+set}",
            "WORKDIR /srv/$A",
            "WORKDIR x",
            "ENTRYPOINT /start",
            "LABEL l=$B",
            "EXPOSE $A",
        ],
    ) == {
        "Env": ["PATH=/bin", "A=1", "B=12", "C=d", "D=set"],
        "WorkingDir": "/srv/1/x",
        "Entrypoint": ["/bin/sh", "-c", "/start"],
        "Labels": {"l": "12"},
        "ExposedPorts": {"1/tcp": {}},
    }


def test_a_command_stays_with_the_entrypoint_it_was_given_with() -> None:
    changes = ['CMD ["b"]', 'ENTRYPOINT ["a"]']
    assert apply_changes({"Cmd": ["old"]}, changes) == {"Cmd": ["b"], "Entrypoint": ["a"]}
    assert apply_changes({"Cmd": ["old"]}, changes[1:]) == {"Entrypoint": ["a"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("RUN make", "RUN is not a valid change command"),
        ("FROM x", "FROM is not a valid change command"),
        ("", "not a valid change command"),
        ("CMD", "CMD needs a value"),
        ("ENV A", "'A' has no value"),
        ("ENV A=1 B", "'B'"),
        ("ENV =1", "'=1'"),
        ("ENV A='1", "a quote is not closed"),
        ("EXPOSE 0", "'0'"),
        ("EXPOSE 70000", "70000"),
        ("EXPOSE 80/xyz", "80/xyz"),
        ("EXPOSE 9-8", "9-8"),
        ("USER a b", "one value"),
        ("STOPSIGNAL what?", "what?"),
        ("ONBUILD FROM x", "FROM is not allowed"),
        ("ONBUILD ONBUILD RUN x", "ONBUILD is not allowed"),
        ("HEALTHCHECK", "HEALTHCHECK"),
        ("HEALTHCHECK curl", "CMD command, or NONE"),
        ("HEALTHCHECK --interval=soon CMD x", "--interval=soon is not a duration"),
        ("HEALTHCHECK --retries=x CMD x", "--retries=x"),
        ("HEALTHCHECK --what=1 CMD x", "--what"),
        ("ENV A=1\nENV B=2", "line break"),
        ('VOLUME [""]', "a path is empty"),
    ],
)
def test_what_is_refused(change: str, words: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        apply_changes({}, [change])
    assert words in str(error.value)
    assert "\n" not in str(error.value)
