"""`logs`: what a container has written."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import STDERR, STDOUT, write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_CHUNK = 64 * 1024


def _logs(session: Session, values: Values, arguments: list[str]) -> int:
    now = time.time_ns()
    tail = _tail(values.text("tail", "all"))
    since = moment(values.text("since"), now, "since")
    until = moment(values.text("until"), now, "until")
    follow = values.flag("follow")
    container = session.engine.containers.get(arguments[0])
    stamps = values.flag("timestamps")
    details = _details(container.log_details()) if values.flag("details") else b""
    # Both streams are gathered as far as their order allows, and at once where one follows
    pending, target = bytearray(), STDOUT
    for entry in container.log_entries(follow=follow, tail=tail, since=since, until=until):
        descriptor = STDERR if entry.stream == "stderr" else STDOUT
        if pending and (descriptor != target or len(pending) >= _CHUNK):
            write_bytes(target, bytes(pending))
            pending.clear()
        target = descriptor
        if stamps:
            pending += entry.time.encode() + b" "
        if details:
            pending += details + b" "
        pending += entry.data
        if follow:
            write_bytes(target, bytes(pending))
            pending.clear()
    write_bytes(target, bytes(pending))
    return 0


def _tail(text: str) -> int | None:
    """How many lines; None for all of them, as for what is no number (Docker does so too)."""
    if text == "all" or not (text.isascii() and text.isdigit()):
        if text != "all" and not text.lstrip("-").isdigit():
            raise UsageError(f'invalid argument "{text}" for "-n, --tail" flag: a number, or all')
        return None
    return int(text)


def moment(text: str, now: int, flag: str) -> int | None:
    """A moment in nanoseconds since 1970: RFC 3339 and its beginnings, seconds since 1970, or how
    long ago (`42m`). None where nothing is said. Raises UsageError.
    """
    if not text or text == "0":
        return None
    from proa.cli.values import duration

    try:
        return now - duration(text)
    except ValueError:
        pass
    seconds, _, fraction = text.partition(".")
    if seconds.isascii() and seconds.isdigit() and (not fraction or fraction.isdigit()):
        return int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or "0")
    from proa.cli.times import parse_time

    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(
            f'invalid value for "{flag}": {text}; '
            "write 42m, 2026-01-31T12:00:00Z or seconds since 1970"
        ) from None


def _details(found: dict[str, str]) -> bytes:
    """As Docker writes them, escaped as in a URL's query: `a=b,c=d`."""
    from urllib.parse import quote_plus

    return ",".join(
        f"{quote_plus(name)}={quote_plus(value, errors='surrogateescape')}"
        for name, value in sorted(found.items())
    ).encode()


COMMAND = Command(
    usage="[OPTIONS] CONTAINER",
    summary="Show what a container has written",
    run=_logs,
    flags=(
        ("details", "", "bool", "Show the labels and variables that --log-opt names"),
        ("follow", "f", "bool", "Go on showing what comes"),
        ("since", "", "string", "Only what is newer (42m, 2026-01-31T12:00:00Z)"),
        ("tail", "n", "string", 'Only so many last lines (default "all")'),
        ("timestamps", "t", "bool", "Show when each line came"),
        ("until", "", "string", "Only what is older (42m, 2026-01-31T12:00:00Z)"),
    ),
    minimum=1,
    maximum=1,
    completes="containers",
)
