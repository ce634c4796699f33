"""`pull`: an image from a registry."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.output import STDOUT, line, write_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values
    from proa.engine.config import ContainerConfig
    from proa.engine.engine import Engine
    from proa.engine.images import Pulled


def _pull(session: Session, values: Values, arguments: list[str]) -> int:
    from proa.oci.reference import Reference

    reference = Reference.parse(arguments[0])
    all_tags, quiet = values.flag("all-tags"), values.flag("quiet")
    if not quiet and not all_tags and reference.with_default_tag() != reference:
        line("Using default tag: latest")
    pull_image(
        session.engine,
        arguments[0],
        platform=values.text("platform") or None,
        all_tags=all_tags,
        quiet=quiet,
    )
    line(str(reference if all_tags else reference.with_default_tag()))
    return 0


def pull_image(
    engine: Engine,
    name: str,
    *,
    platform: str | None = None,
    all_tags: bool = False,
    quiet: bool = False,
    descriptor: int = STDOUT,
) -> None:
    """Pull, and tell of it on `descriptor` as Docker does."""
    from proa.cli.progress import display

    def told(pulled: Pulled) -> None:
        if quiet:
            return
        lines = [f"Digest: {pulled.digest}"]
        if not all_tags:
            state = "Downloaded newer image for" if pulled.is_newer else "Image is up to date for"
            lines.append(f"Status: {state} {pulled.reference}")
        write_bytes(descriptor, "".join(f"{text}\n" for text in lines).encode())

    found = engine.images.pull_each(
        name,
        all_tags=all_tags,
        platform=platform,
        progress=None if quiet else display(descriptor),
        pulled=told,
    )
    if all_tags and not quiet:
        newer = any(pulled.is_newer for pulled in found)
        state = "Downloaded newer image for" if newer else "Image is up to date for"
        repository = found[0].reference.rpartition(":")[0]
        write_bytes(descriptor, f"Status: {state} {repository}\n".encode())


def pull_for_container(
    session: Session, config: ContainerConfig, *, quiet: bool, is_missing: bool = False
) -> None:
    """Get the image of a container that is to be made; stdout stays the container's."""
    from proa.cli.output import STDERR, warn
    from proa.oci.reference import Reference

    reference = Reference.parse(config.image).with_default_tag()
    if is_missing and not quiet:
        warn(f"Unable to find image '{reference.familiar}' locally")
    pull_image(
        session.engine, config.image, platform=config.platform, quiet=quiet, descriptor=STDERR
    )


COMMAND = Command(
    usage="[OPTIONS] NAME[:TAG|@DIGEST]",
    summary="Get an image from a registry",
    run=_pull,
    flags=(
        ("all-tags", "a", "bool", "Get all tagged images of the repository"),
        ("disable-content-trust", "", "bool", ""),
        ("platform", "", "string", "Get the image for this platform (linux/arm64)"),
        ("quiet", "q", "bool", "Print the image's name only"),
    ),
    minimum=1,
    maximum=1,
)
