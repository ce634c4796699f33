"""`system prune`: remove everything that nobody needs."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.confirm import is_confirmed
from proa.cli.container.prune import show as show_containers
from proa.cli.filters import filters
from proa.cli.image.prune import show as show_images
from proa.cli.output import line
from proa.cli.units import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_FILTERS = ("label", "label!", "until")


def _prune(session: Session, values: Values, _arguments: list[str]) -> int:
    from proa.engine.prune import SystemPrune

    everything, volumes = values.flag("all"), values.flag("volumes")
    pruning = SystemPrune(
        session.engine,
        all=everything,
        volumes=volumes,
        filters=filters(values, _FILTERS),
        unused_for=(values.number("unused-for") or 0) / 1e9,
        keep_storage=values.number("keep-storage"),
    )
    if not values.flag("force") and not is_confirmed(_warning(values)):
        return 0
    done = pruning.run()
    show_containers(done["ContainersDeleted"])
    for title, key in (("Networks", "NetworksDeleted"), ("Volumes", "VolumesDeleted")):
        if done[key]:
            line(f"Deleted {title}:")
            for name in done[key]:
                line(name)
            line("")
    show_images(done["ImagesDeleted"])
    if done["CachesDeleted"]:
        line("Deleted build cache objects:")
        for key in done["CachesDeleted"]:
            line(key)
        line("")
    line(f"Total reclaimed space: {decimal_size(done['SpaceReclaimed'])}")
    return 0


def _warning(values: Values) -> str:
    everything = values.flag("all")
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if values.flag("volumes"):
        lines.append("all anonymous volumes not used by at least one container")
    lines.append(
        "all images without at least one container associated to them"
        if everything
        else "all dangling images"
    )
    lines.append("all build cache" if everything else "unused build cache")
    chosen = values.texts("filter")
    text = "WARNING! This will remove:\n" + "".join(f"  - {item}\n" for item in lines)
    if chosen:
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {item}\n" for item in chosen)
    return text


COMMAND = Command(
    usage="[OPTIONS]",
    summary="Remove containers, networks and images that nobody needs",
    run=_prune,
    flags=(
        ("all", "a", "bool", "Remove all images that no container uses"),
        ("filter", "", "filter", "Remove only what matches (until=24h, label=x, label!=y)"),
        ("force", "f", "bool", "Do not ask"),
        (
            "keep-storage",
            "",
            "bytes",
            "Remove images only until they take no more than this (10GB)",
        ),
        ("unused-for", "", "age", "Remove only what has not been used for so long (30d, 12h)"),
        ("volumes", "", "bool", "Remove anonymous volumes too"),
    ),
    maximum=0,
)
