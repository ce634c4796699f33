"""`serve`: this engine by Docker's API, for programs that speak it."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.flags import UsageError
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _serve(session: Session, values: Values, _arguments: list[str]) -> int:
    from proa.errors import Unsupported

    try:
        from proa.api.allow import rules
        from proa.api.server import DEFAULT, Options, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "proa":
            raise
        raise Unsupported(f"the API needs {error.name}: pip install 'proa[api]'") from None

    given = [values.text(name) for name in ("tlscert", "tlskey", "tlscacert")]
    if any(given) and not all(given):
        raise UsageError("--tlscert, --tlskey and --tlscacert go together")
    options = Options(
        addresses=tuple(values.texts("host")) or (DEFAULT,),
        group=values.text("group"),
        certificate=given[0],
        key=given[1],
        authority=given[2],
        insecure=values.flag("insecure"),
        idle=(values.number("idle") or 0) / 1e9,
        allows=rules(values.texts("allow"), read_only=values.flag("read-only")),
    )
    serve(session.engine, options, ready=lambda address: line(f"listening on {address}"))
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Serve this engine by Docker's API",
    run=_serve,
    flags=(
        ("allow", "", "list", "Serve only requests such as 'GET /containers/**'"),
        ("group", "", "string", "Group that may use the socket, too"),
        (
            *("host", "H", "list"),
            "Where to listen: unix://PATH, tcp://HOST:PORT, fd:// (default unix:///run/proa/proa.sock)",
        ),
        ("idle", "", "duration", "End when nobody was connected for so long"),
        ("insecure", "", "bool", "TCP without TLS, on the loopback device only"),
        ("read-only", "", "bool", "Serve only requests that change nothing"),
        ("tlscacert", "", "string", "Certificate of who signs the clients' certificates"),
        ("tlscert", "", "string", "Certificate of this server"),
        ("tlskey", "", "string", "Key of the certificate"),
    ),
    maximum=0,
)
