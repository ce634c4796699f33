"""`events`: what happens to containers, images, networks and volumes."""

from __future__ import annotations

import time

from proa.cli.command import Command
from proa.cli.container.logs import moment
from proa.cli.filters import filters
from proa.cli.output import line
from proa.engine.events import FILTERS, Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.events import Event


def _events(session: Session, values: Values, _arguments: list[str]) -> int:
    now = time.time_ns()
    since = moment(values.text("since"), now, "since")
    until = moment(values.text("until"), now, "until")
    show = _renderer(values.text("format"))
    wanted = filters(values, FILTERS)
    with Events(session.engine.store, since=since, until=until, filters=wanted) as found:
        for event in found:
            line(show(event))
    return 0


def _renderer(template: str) -> Callable[[Event], str]:
    if not template:
        return _text
    from proa.cli.template.values import to_json

    if template == "json":
        return lambda event: to_json(event.attrs)
    from proa.cli.template import Mapping, parse

    parsed = parse(template)

    def render(event: Event) -> str:
        attributes = Mapping(sorted(event.attributes.items()))
        known = event.attrs
        return parsed.render(
            {
                "Action": event.action,
                "Actor": {"ID": event.id, "Attributes": attributes},
                "From": known.get("from", ""),
                "ID": known.get("id", ""),
                "Scope": "local",
                "Status": known.get("status", ""),
                "Time": known["time"],
                "TimeNano": event.time,
                "Type": event.type,
            }
        )

    return render


def _text(event: Event) -> str:
    """As Docker writes it: `2026-01-31T12:00:00.123456789+01:00 container create <id> (…)`."""
    seconds, fraction = divmod(event.time, 1_000_000_000)
    at = time.localtime(seconds)
    zone = time.strftime("%z", at)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', at)}.{fraction:09}{zone}"
    text = f"{stamp} {event.type} {event.action} {event.id}"
    if not event.attributes:
        return text
    pairs = ", ".join(f"{name}={value}" for name, value in sorted(event.attributes.items()))
    return f"{text} ({pairs})"


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Show what happens, from now on or from a moment on",
    run=_events,
    flags=(
        ("filter", "f", "filter", "Show only what matches (container=web, event=die, type=image)"),
        ("format", "", "string", "Show it as 'json' or by a Go TEMPLATE"),
        ("since", "", "string", "Begin with what has happened since (42m, 2026-01-31T12:00:00Z)"),
        ("until", "", "string", "End at this moment (42m, 2026-01-31T12:00:00Z)"),
    ),
    maximum=0,
)
