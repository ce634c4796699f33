"""Image configs (image-spec, config.md; Docker's are the same with more members)."""

from __future__ import annotations

from proa.errors import CorruptData
from proa.lean.clock import to_nanoseconds
from proa.lean.json import dumps
from proa.lean.record import record
from proa.oci.digest import Digest
from proa.oci.document import LARGEST_CONFIG, Fields, parse_object
from proa.oci.platform import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

_TEXTS = ("User", "WorkingDir", "StopSignal", "Hostname", "Domainname", "Image")
_LISTS = ("Env", "Entrypoint", "Cmd", "OnBuild", "Shell")
_SETS = ("ExposedPorts", "Volumes")


@record
class ImageConfig:
    """What an image says about itself: platform, defaults of its containers, layers, history."""

    data: bytes
    """the very bytes: their digest is the image's id"""
    document: Mapping[str, Any]
    """the same, parsed"""
    diff_ids: tuple[Digest, ...]
    """its layers, base first"""
    created: int
    """nanoseconds since 1970; 0 where it does not say"""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a config and check everything in it that containers will be made from.

        Raises CorruptData, LimitExceeded.
        """
        what = f"image config {Digest.of(data).short}"
        document = parse_object(data, what, LARGEST_CONFIG)
        fields = Fields(document, what)
        for name in ("architecture", "os", "variant", "os.version", "author"):
            fields.text(name, "")
        _check_defaults(fields.object("config"), what)
        for entry in fields.objects("history"):
            _check_history(Fields(entry, f"{what}: history"))
        root = Fields(fields.object("rootfs"), f"{what}: rootfs")
        if root.text("type", "layers") != "layers":
            raise CorruptData(f"{what}: the root file system is not made of layers")
        diff_ids = tuple(root.as_digest(text, "diff_ids") for text in root.texts("diff_ids"))
        return cls(data, document, diff_ids, _created(fields, what))

    @classmethod
    def build(cls, document: Mapping[str, Any]) -> Self:
        """A config of our own making. Raises CorruptData where it would not be a valid one."""
        return cls.parse(dumps(document).encode())

    @property
    def id(self) -> Digest:
        """The image's id: the digest of its config."""
        return Digest.of(self.data)

    @property
    def platform(self) -> Platform:
        """What it is for."""
        text = self.document.get
        return Platform.of(
            text("os") or "linux",
            text("architecture") or "",
            text("variant") or "",
            text("os.version") or "",
        )

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Its member `config`: what containers have where nobody says otherwise."""
        return self.document.get("config") or {}

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """How it came to be, the oldest step first."""
        return tuple(self.document.get("history") or ())


def _check_defaults(data: Mapping[str, Any], what: str) -> None:
    fields = Fields(data, f"{what}: config")
    for name in _TEXTS:
        fields.text(name, "")
    for name in _LISTS:
        fields.texts(name)
    for name in _SETS:
        fields.object(name)
    fields.strings("Labels")
    for text in fields.texts("Env"):
        if "\0" in text or text[:1] in ("", "="):
            raise CorruptData(f"{what}: config: {text[:100]!r} is not an environment variable")
    for name in ("Entrypoint", "Cmd"):
        if any("\0" in text for text in fields.texts(name)):
            raise CorruptData(f"{what}: config: {name!r} has a null character")
    if fields.has("Healthcheck"):
        Fields(fields.object("Healthcheck"), f"{what}: config: Healthcheck").texts("Test")


def _check_history(fields: Fields) -> None:
    for name in ("created", "created_by", "author", "comment"):
        fields.text(name, "")


def _created(fields: Fields, what: str) -> int:
    text = fields.text("created", "")
    if not text:
        return 0
    try:
        return max(to_nanoseconds(text), 0)
    except ValueError:
        raise CorruptData(f"{what}: 'created' is not a time: {text[:100]!r}") from None
