"""`features`: what this runtime can do (runtime-spec, "Features Structure")."""

from __future__ import annotations

import json
import os

from proa.kernel.capability import NAMES
from proa.kernel.mount_options import KNOWN
from proa.kernel.namespace import FLAGS
from proa.runtime.cli.arguments import parse
from proa.runtime.cli.session import write
from proa.runtime.cli.version import version
from proa.runtime.defaults import OCI_VERSION
from proa.runtime.hooks import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from proa.runtime.cli.session import Session


def features(_session: Session, arguments: Sequence[str]) -> int:
    """Print it as JSON."""
    parse({}, arguments, what="features")
    cgroup2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    write(
        json.dumps(
            {
                "ociVersionMin": "1.0.0",
                "ociVersionMax": OCI_VERSION,
                "hooks": list(KINDS),
                "mountOptions": sorted(KNOWN),
                "linux": {
                    "namespaces": sorted(FLAGS),
                    "capabilities": list(NAMES),
                    "cgroup": {
                        "v1": not cgroup2,
                        "v2": True,
                        "systemd": False,
                        "systemdUser": False,
                        "rdma": True,
                    },
                    "seccomp": {
                        "enabled": os.path.exists("/proc/sys/kernel/seccomp"),
                        "actions": _actions(),
                        "operators": [
                            *("SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE"),
                            *("SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"),
                        ],
                    },
                    "apparmor": {"enabled": os.path.exists("/sys/kernel/security/apparmor")},
                    "selinux": {"enabled": os.path.exists("/sys/fs/selinux/enforce")},
                    "mountExtensions": {"idmap": {"enabled": True}},
                },
                "annotations": {"proa.version": version()},
                "potentiallyUnsafeConfigAnnotations": [],
            },
            indent=2,
        )
        + "\n"
    )
    return 0


def _actions() -> list[str]:
    return [
        f"SCMP_ACT_{name}"
        for name in (
            *("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD"),
            *("LOG", "NOTIFY", "TRACE", "TRAP"),
        )
    ]
