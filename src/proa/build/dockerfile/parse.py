"""From statements to instructions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proa.build.dockerfile import instructions as of
from proa.build.dockerfile.durations import parse_duration
from proa.build.dockerfile.flags import Flags
from proa.build.dockerfile.heredoc import parse_heredoc
from proa.build.dockerfile.mount_flag import check_mount
from proa.build.dockerfile.source import did_you_mean
from proa.build.dockerfile.split import json_array, key_values, quoted_words, separated
from proa.errors import DockerfileError, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.build.dockerfile.lexer import Statement
    from proa.build.dockerfile.source import Source

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")
_SHORTEST_INTERVAL = 10**6


def parse_instruction(statement: Statement, source: Source, escape: str) -> of.Instruction:
    """The instruction that a statement is.

    Raises DockerfileError for one that is unknown, has a flag it does not know, or has not the
    arguments that it must have.
    """
    parser = _PARSERS.get(statement.name)
    if parser is None:
        hint = did_you_mean(statement.name, tuple(_PARSERS))
        raise source.error(statement.span, f"unknown instruction: {statement.keyword}{hint}")
    try:
        return parser(_Reading(statement, escape))
    except DockerfileError:
        raise
    except InvalidArgument as error:
        text = str(error)
        if not text.startswith(statement.name):
            text = f"{statement.name}: {text}"
        raise source.error(statement.span, text) from None


class _Reading:
    """A statement, and what most instructions want of it."""

    def __init__(self, statement: Statement, escape: str) -> None:
        self.statement = statement
        self.escape = escape
        self.name = statement.name
        self.rest = statement.rest
        self.flags = Flags(self.name, statement.flags)
        self.common: dict[str, Any] = {
            "keyword": statement.keyword,
            "text": statement.text,
            "span": statement.span,
            "comments": statement.comments,
        }

    def require(self) -> None:
        if not self.rest:
            raise InvalidArgument(f"{self.name} requires at least one argument")

    def one(self) -> str:
        if not self.rest:
            raise InvalidArgument(f"{self.name} requires exactly one argument")
        return self.rest

    def words(self) -> list[str]:
        array = json_array(self.rest)
        return separated(self.rest) if array is None else array

    def command(self, rest: str) -> tuple[tuple[str, ...], bool]:
        """The command, and whether it is in shell form."""
        array = json_array(rest)
        return ((rest,), True) if array is None else (tuple(array), False)


def _from(reading: _Reading) -> of.From:
    words = separated(reading.rest)
    alias = keyword = ""
    if len(words) == 3 and words[1].lower() == "as":
        keyword, alias = words[1:]
        if _STAGE_NAME.fullmatch(alias.lower()) is None:
            raise InvalidArgument(
                f"invalid name for build stage: {alias!r}, name can't start with a number or"
                " contain symbols"
            )
    elif len(words) != 1:
        raise InvalidArgument("FROM requires either one or three arguments")
    return of.From(
        **reading.common,
        image=words[0],
        alias=alias.lower(),
        alias_text=alias,
        as_keyword=keyword,
        platform=reading.flags.text("platform"),
    )


def _run(reading: _Reading) -> of.Run:
    reading.require()
    flags = reading.flags
    command, shell = reading.command(reading.rest)
    if not command:
        raise InvalidArgument("RUN requires at least one argument")
    for mount in flags.several("mount"):
        check_mount(mount)
    network, security = flags.text("network", "default"), flags.text("security", "sandbox")
    for value, known, what in (
        (network, _NETWORKS, "network mode"),
        (security, _SECURITY, "security mode"),
    ):
        if value not in known:
            raise InvalidArgument(
                f"unsupported {what} {value!r}{did_you_mean(value, known)}; there are"
                f" {', '.join(known)}"
            )
    return of.Run(
        **reading.common,
        command=command,
        shell=shell,
        heredocs=reading.statement.heredocs,
        mounts=flags.several("mount"),
        network=network,
        security=security,
        devices=flags.several("device"),
    )


def _copied(reading: _Reading) -> dict[str, Any]:
    words = reading.words()
    if not words:
        raise InvalidArgument(f"{reading.name} requires at least two arguments")
    if len(words) == 1:
        raise InvalidArgument(
            f"{reading.name} requires at least two arguments, but only one was provided."
            " Destination could not be determined"
        )
    *sources, destination = words
    if parse_heredoc(destination) is not None and reading.statement.heredocs:
        raise InvalidArgument(f"{reading.name} cannot accept a heredoc as a destination")
    names = {heredoc.name for heredoc in reading.statement.heredocs}
    flags = reading.flags
    return {
        **reading.common,
        "sources": tuple(
            word
            for word in sources
            if (found := parse_heredoc(word)) is None or found.name not in names
        ),
        "destination": destination,
        "heredocs": reading.statement.heredocs,
        "chown": flags.text("chown"),
        "chmod": flags.text("chmod"),
        "link": flags.switch("link"),
        "excludes": flags.several("exclude"),
    }


def _copy(reading: _Reading) -> of.Copy:
    fields = _copied(reading)
    from_ = reading.flags.text("from")
    if "$" in from_:
        raise InvalidArgument(
            "variable expansion is not supported for --from, define a new stage with FROM using"
            " ARG from global scope as a workaround"
        )
    if from_ and fields["heredocs"]:
        raise InvalidArgument("COPY --from cannot have a heredoc: it is not a file of there")
    return of.Copy(**fields, from_=from_, parents=reading.flags.switch("parents"))


def _add(reading: _Reading) -> of.Add:
    return of.Add(
        **_copied(reading),
        checksum=reading.flags.text("checksum"),
        keep_git_dir=reading.flags.switch("keep-git-dir"),
        unpack=reading.flags.maybe("unpack"),
    )


def _pairs(reading: _Reading) -> dict[str, Any]:
    pairs, legacy = key_values(reading.rest, reading.name, reading.escape)
    if not pairs:
        raise InvalidArgument(f"{reading.name} requires at least one argument")
    if any(not key for key, _ in pairs):
        raise InvalidArgument(f"{reading.name} names can not be blank")
    return {**reading.common, "pairs": tuple(pairs), "legacy": legacy}


def _arg(reading: _Reading) -> of.Arg:
    reading.require()
    pairs: list[tuple[str, str | None]] = []
    for word in quoted_words(reading.rest, reading.escape):
        name, equals, value = word.partition("=")
        if not name:
            raise InvalidArgument("ARG names can not be blank")
        pairs.append((name, value if equals else None))
    return of.Arg(**reading.common, pairs=tuple(pairs))


def _workdir(reading: _Reading) -> of.Workdir:
    return of.Workdir(**reading.common, path=reading.one())


def _user(reading: _Reading) -> of.User:
    return of.User(**reading.common, user=reading.one())


def _expose(reading: _Reading) -> of.Expose:
    reading.require()
    return of.Expose(**reading.common, ports=tuple(separated(reading.rest)))


def _volume(reading: _Reading) -> of.Volume:
    reading.require()
    paths = tuple(reading.words())
    if not paths:
        raise InvalidArgument("VOLUME requires at least one argument")
    if not all(path.strip() for path in paths):
        raise InvalidArgument("VOLUME specified can not be an empty string")
    return of.Volume(**reading.common, paths=paths)


def _cmd(reading: _Reading) -> of.Cmd:
    command, shell = reading.command(reading.rest) if reading.rest else ((), False)
    return of.Cmd(**reading.common, command=command, shell=shell)


def _entrypoint(reading: _Reading) -> of.Entrypoint:
    command, shell = reading.command(reading.rest) if reading.rest else ((), False)
    return of.Entrypoint(**reading.common, command=command, shell=shell)


def _shell(reading: _Reading) -> of.Shell:
    reading.require()
    words = json_array(reading.rest)
    if words is None:
        raise InvalidArgument("SHELL requires the arguments to be in JSON form")
    if not words:
        raise InvalidArgument("SHELL requires at least one argument")
    return of.Shell(**reading.common, words=tuple(words))


def _healthcheck(reading: _Reading) -> of.Healthcheck:
    reading.require()
    kind, *others = reading.rest.split(maxsplit=1)
    rest = others[0] if others else ""
    flags = reading.flags
    if kind.upper() == "NONE":
        if rest:
            raise InvalidArgument("HEALTHCHECK NONE takes no arguments")
        return of.Healthcheck(**reading.common, test=("NONE",))
    if kind.upper() != "CMD":
        raise InvalidArgument(f"unknown type {kind!r} in HEALTHCHECK (try CMD)")
    command, shell = reading.command(rest) if rest else ((), True)
    if not command:
        raise InvalidArgument("missing command after HEALTHCHECK CMD")
    retries = flags.text("retries", "0")
    if not (retries.isdecimal() and retries.isascii()) or int(retries) >= 2**31:
        raise InvalidArgument(f"--retries must be at least 0, not {retries}")
    return of.Healthcheck(
        **reading.common,
        test=("CMD-SHELL" if shell else "CMD", *command),
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=int(retries),
    )


def _interval(flags: Flags, name: str) -> int:
    text = flags.text(name)
    if not text:
        return 0
    try:
        found = parse_duration(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"--{name}: {error}") from None
    if found != 0 and found < _SHORTEST_INTERVAL:
        raise InvalidArgument(f"interval {name!r} cannot be less than 1ms")
    return found


def _stopsignal(reading: _Reading) -> of.Stopsignal:
    return of.Stopsignal(**reading.common, signal=reading.one())


def _maintainer(reading: _Reading) -> of.Maintainer:
    return of.Maintainer(**reading.common, author=reading.one())


def _onbuild(reading: _Reading) -> of.Onbuild:
    reading.require()
    trigger = separated(reading.rest)[0].upper()
    if trigger == "ONBUILD":
        raise InvalidArgument("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
    if trigger not in _PARSERS:
        hint = did_you_mean(trigger, tuple(_PARSERS))
        raise InvalidArgument(f"unknown instruction as an ONBUILD trigger: {trigger}{hint}")
    text = reading.statement.full_text
    return of.Onbuild(**reading.common, trigger=text[len(reading.statement.keyword) :].lstrip())


_PARSERS: dict[str, Callable[[_Reading], of.Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": lambda reading: of.Env(**_pairs(reading)),
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": lambda reading: of.Label(**_pairs(reading)),
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
INSTRUCTIONS = tuple(_PARSERS)
