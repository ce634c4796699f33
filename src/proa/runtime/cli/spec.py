"""`spec`: an example to begin with."""

from __future__ import annotations

import json
import os

from proa.errors import AlreadyExists
from proa.runtime.cli.arguments import parse
from proa.runtime.defaults import CAPABILITIES, default_spec, rootless_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.runtime.cli.session import Session


def spec(_session: Session, arguments: Sequence[str]) -> int:
    """Write config.json into the bundle: a shell with Docker's defences."""
    options = parse({"bundle": "value,b", "rootless": "bool"}, arguments, what="spec")
    path = os.path.join(options.text("bundle") or ".", "config.json")
    made = default_spec(("sh",), terminal=True, seccomp=_profile())
    if options.flag("rootless"):
        made = rootless_spec(made, os.geteuid(), os.getegid())
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(made, file, indent="\t")
            file.write("\n")
    except FileExistsError:
        raise AlreadyExists(f"{path} exists; move it away first") from None
    return 0


def _profile() -> dict[str, object]:
    from proa.runtime.seccomp_profile import default_profile

    return default_profile(frozenset(CAPABILITIES), os.uname().machine)
