"""`registry serve`: the engine's images, and what is pushed, for others to pull."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _serve(session: Session, values: Values, _arguments: list[str]) -> int:
    from proa.engine.serve import DEFAULT, serve_registry

    serve_registry(
        session.engine.store,
        values.text("listen", DEFAULT),
        sparse=values.flag("sparse"),
        ready=lambda address: line(f"listening on {address}"),
    )
    return 0


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Serve this engine's images, and take what is pushed",
    run=_serve,
    flags=(
        ("listen", "", "string", 'Address to listen on (default "127.0.0.1:5000")'),
        ("sparse", "", "bool", "Take manifests of images whose blobs are not all here"),
    ),
    maximum=0,
)
