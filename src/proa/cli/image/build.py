"""`build`: an image from a Dockerfile."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from proa.cli.command import Command
from proa.cli.exit_codes import Failed
from proa.cli.flags import UsageError
from proa.cli.image.progress import progress
from proa.cli.output import STDERR, STDIN, STDOUT, line, warn, write
from proa.errors import BuildFailed, DockerfileError

if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values

_TAIL = 20
"""Lines of a failed step's output that are shown."""


def _build(session: Session, values: Values, arguments: list[str]) -> int:
    quiet = values.flag("quiet")
    wanted = _wanted(values)
    if values.text("on-error") not in ("", "shell"):
        raise UsageError(f"--on-error={values.text('on-error')}: there is only --on-error=shell")
    if arguments[0] == "-":
        if values.text("file") == "-":
            raise UsageError(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        if os.isatty(STDIN):
            raise UsageError("the build context is to come from stdin, but stdin is a terminal")
        wanted["fileobj"] = sys.stdin.buffer
    if values.flag("check") or values.text("call") == "check":
        return _check(arguments[0], wanted)
    kind = values.text("progress") or os.environ.get("BUILDKIT_PROGRESS") or "auto"
    shown = progress("quiet" if quiet else kind)
    try:
        image = session.engine.images.build(
            arguments[0], tag=values.texts("tag"), on_event=shown, **wanted
        )
    except (BuildFailed, DockerfileError) as error:
        shown.close()
        _explain(error)
        if isinstance(error, BuildFailed) and error.image:
            _open_shell(session, error, wanted)
        raise Failed(str(error)) from None
    except BaseException:
        shown.close()
        raise
    shown.close()
    if path := values.text("iidfile"):
        with open(path, "w", encoding="ascii") as file:
            file.write(str(image.id))
    if path := values.text("metadata-file"):
        _write_metadata(path, image)
    if quiet:
        line(str(image.id))
    return 0


def _open_shell(session: Session, error: BuildFailed, wanted: dict[str, Any]) -> None:
    """A shell in the file system that the failed step has left; it and the image go afterwards."""
    from proa.engine.attach import Ends
    from proa.engine.config import ContainerConfig

    warn(f"a shell where {error.step} has failed; leave it with 'exit'")
    is_terminal = os.isatty(STDIN)
    config = ContainerConfig(
        image=error.image,
        command=("/bin/sh",),
        entrypoint=(),
        tty=is_terminal,
        open_stdin=True,
        attach_stdin=True,
        attach_stdout=True,
        attach_stderr=True,
        auto_remove=True,
        network_mode="host" if wanted["network"] == "default" else wanted["network"],
    )
    try:
        session.engine.containers.run_attached(config, Ends(STDIN, STDOUT, STDERR))
    finally:
        session.engine.images.remove(error.image, force=True)


def _wanted(values: Values) -> dict[str, Any]:
    from proa.engine.build import read_secret

    dockerfile: str | bytes = values.text("file")
    if dockerfile == "-":
        dockerfile = sys.stdin.buffer.read()
    hosts = []
    for text in values.texts("add-host"):
        name, separator, address = text.partition("=" if "=" in text else ":")
        if not separator or not address:
            raise UsageError(f"bad format for add-host: {text!r}; write HOST:ADDRESS")
        hosts.append(f"{name}:{address}")
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    build_args = {"SOURCE_DATE_EPOCH": epoch} if epoch else {}
    return {
        "dockerfile": dockerfile,
        "target": values.text("target"),
        "buildargs": {**build_args, **_from_environment(values.texts("build-arg"))},
        "labels": dict(text.partition("=")[::2] for text in values.texts("label")),
        "nocache": values.flag("no-cache"),
        "no_cache_filter": [
            name for text in values.texts("no-cache-filter") for name in text.split(",")
        ],
        "platform": values.text("platform") or None,
        "pull": values.flag("pull"),
        "network": values.text("network") or "default",
        "add_hosts": hosts,
        "secrets": dict(read_secret(text, os.environ) for text in values.texts("secret")),
        "ssh": dict(_agent(text) for text in values.texts("ssh")),
        "contexts": dict(_context(text) for text in values.texts("build-context")),
        "allow": values.texts("allow"),
        "explain": values.flag("explain"),
        "outputs": [
            *values.texts("output"),
            *(["type=registry"] if values.flag("push") else ()),
        ],
        "keep_failed": values.text("on-error") == "shell",
    }


def _from_environment(texts: list[str]) -> dict[str, str]:
    """KEY=VALUE, or KEY alone, whose value is the environment's."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _agent(text: str) -> tuple[str, str]:
    id, _, path = text.partition("=")
    path = path or os.environ.get("SSH_AUTH_SOCK", "")
    if not path:
        raise UsageError(f"--ssh {text}: there is no agent: SSH_AUTH_SOCK is not set")
    return id, path


def _context(text: str) -> tuple[str, str]:
    name, equals, where = text.partition("=")
    if not equals or not where:
        raise UsageError(f"invalid context value: {text!r}; write NAME=PATH")
    return name, where


def _check(path: str, wanted: dict[str, Any]) -> int:
    from proa.engine.build import check_dockerfile

    given = {"dockerfile": wanted["dockerfile"], "build_args": wanted["buildargs"]}
    try:
        found, source = check_dockerfile(path, **given)
    except DockerfileError as error:
        _explain(error)
        raise Failed(str(error)) from None
    if not found:
        line("Check complete, no warnings found.")
        return 0
    verb = "warning has" if len(found) == 1 else "warnings have"
    line(f"Check complete, {len(found)} {verb} been found!")
    for item in found:
        write(f"\nWARNING: {item.rule}\n{item.message}\n{source.excerpt(item.span)}\n")
    return 1


def _explain(error: BuildFailed | DockerfileError) -> None:
    """What went wrong, as BuildKit's client shows it."""
    if isinstance(error, BuildFailed) and error.output:
        warn("------")
        warn(f" > {error.step}:")
        text = error.output.decode("utf-8", "replace").rstrip("\n")
        for shown in text.split("\n")[-_TAIL:]:
            warn(shown)
        warn("------")
    if error.excerpt:
        warn(error.excerpt)
    warn(f"ERROR: failed to build: failed to solve: {error}")


def _write_metadata(path: str, image: Any) -> None:
    import json

    record = image.record
    data: dict[str, Any] = {"containerimage.config.digest": str(record.id)}
    if record.manifest is not None:
        data["containerimage.digest"] = str(record.manifest)
    if record.references:
        data["image.name"] = ",".join(record.references)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.write("\n")


COMMAND = Command(
    usage="[OPTIONS] PATH|URL|-",
    summary="Build an image from a Dockerfile",
    run=_build,
    flags=(
        ("add-host", "", "list", "Further host names in RUN (HOST:IP)"),
        ("allow", "", "list", "Allow what is privileged (security.insecure)"),
        ("build-arg", "", "list", "Set a build argument (KEY=VALUE)"),
        ("build-context", "", "list", "Further context (NAME=PATH, NAME=docker-image://REF)"),
        ("call", "", "string", ""),
        ("check", "", "bool", "Only check the Dockerfile for what is questionable"),
        ("explain", "", "bool", "Say of each step why it was not in the cache"),
        ("file", "f", "string", "Path of the Dockerfile (PATH/Dockerfile); - for stdin"),
        ("iidfile", "", "string", "Write the image's id to this file"),
        ("label", "", "list", "Set a label of the image (KEY=VALUE)"),
        ("metadata-file", "", "string", "Write facts about the result to this file"),
        ("network", "", "string", "Network of RUN: default, host, none"),
        ("no-cache", "", "bool", "Do not use the cache"),
        ("no-cache-filter", "", "list", "Do not use the cache for these stages"),
        ("on-error", "", "string", "shell: open one in the file system of a step that fails"),
        (
            "output",
            "o",
            "list",
            "What else becomes of it (DIR, type=local|tar|oci|docker,dest=PATH)",
        ),
        ("platform", "", "string", "Platform to build for (linux/arm64)"),
        ("progress", "", "string", "How progress is shown: auto, plain, tty, quiet, rawjson"),
        ("load", "", "bool", ""),
        ("push", "", "bool", "Push the image to the registries of its names"),
        ("pull", "", "bool", "Ask registries for images that are here already, too"),
        ("quiet", "q", "bool", "Only print the image's id"),
        ("secret", "", "list", "Secret for RUN (id=ID[,src=FILE|,env=VARIABLE])"),
        ("ssh", "", "list", "Agent for RUN (default|ID[=SOCKET])"),
        ("tag", "t", "list", "Name of the image (NAME[:TAG])"),
        ("target", "", "string", "Stage to build"),
    ),
    minimum=1,
    maximum=1,
)
