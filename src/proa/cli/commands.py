"""The commands by noun and verb, each with the module that has it.

Tables, so that finding a command imports nothing. A module has a `COMMAND`, or, where verbs
share it, one for each: `module:NAME`.
"""

from __future__ import annotations

NOUNS: dict[str, dict[str, str]] = {
    "builder": {
        "build": "image.build",
        "prune": "image.prune_builds",
    },
    "buildx": {
        "build": "image.build",
        "prune": "image.prune_builds",
    },
    "container": {
        "attach": "container.attach",
        "commit": "container.commit",
        "cp": "container.cp",
        "create": "container.create",
        "diff": "container.diff",
        "exec": "container.exec",
        "export": "container.export",
        "inspect": "container.inspect",
        "kill": "container.kill",
        "logs": "container.logs",
        "ls": "container.ls",
        "pause": "container.pause:PAUSE",
        "port": "container.port",
        "prune": "container.prune",
        "rename": "container.rename",
        "restart": "container.stop:RESTART",
        "rm": "container.rm",
        "run": "container.run",
        "start": "container.start",
        "stats": "container.stats",
        "stop": "container.stop:STOP",
        "top": "container.top",
        "unpause": "container.pause:UNPAUSE",
        "update": "container.update",
        "wait": "container.wait",
    },
    "image": {
        "bootstrap": "image.bootstrap",
        "build": "image.build",
        "copy": "image.copy",
        "history": "image.history",
        "import": "image.import_",
        "inspect": "image.inspect",
        "load": "image.load",
        "ls": "image.ls",
        "prune": "image.prune",
        "pull": "image.pull",
        "push": "image.push",
        "rm": "image.rm",
        "save": "image.save",
        "squash": "image.squash",
        "tag": "image.tag",
        "tree": "image.tree",
    },
    "manifest": {
        "annotate": "image.manifest:ANNOTATE",
        "create": "image.manifest:CREATE",
        "inspect": "image.manifest:INSPECT",
        "push": "image.manifest:PUSH",
        "rm": "image.manifest:REMOVE",
    },
    "network": {
        "connect": "network.connect:CONNECT",
        "create": "network.create",
        "disconnect": "network.connect:DISCONNECT",
        "explain": "network.explain",
        "inspect": "network.inspect",
        "ls": "network.ls",
        "prune": "network.prune",
        "rm": "network.rm",
    },
    "registry": {
        "serve": "system.registry",
    },
    "system": {
        "boot": "system.boot:BOOT",
        "check": "system.check",
        "df": "system.df",
        "events": "system.events",
        "halt": "system.boot:HALT",
        "info": "system.info",
        "prune": "system.prune",
        "service": "system.service",
    },
    "volume": {
        "create": "volume.create",
        "inspect": "volume.inspect",
        "ls": "volume.ls",
        "prune": "volume.prune",
        "rm": "volume.rm",
    },
}

SHORTCUTS: dict[str, tuple[str, str]] = {
    "attach": ("container", "attach"),
    "build": ("image", "build"),
    "commit": ("container", "commit"),
    "cp": ("container", "cp"),
    "create": ("container", "create"),
    "diff": ("container", "diff"),
    "events": ("system", "events"),
    "exec": ("container", "exec"),
    "export": ("container", "export"),
    "history": ("image", "history"),
    "images": ("image", "ls"),
    "import": ("image", "import"),
    "info": ("system", "info"),
    "kill": ("container", "kill"),
    "load": ("image", "load"),
    "logs": ("container", "logs"),
    "pause": ("container", "pause"),
    "port": ("container", "port"),
    "ps": ("container", "ls"),
    "pull": ("image", "pull"),
    "push": ("image", "push"),
    "rename": ("container", "rename"),
    "restart": ("container", "restart"),
    "rm": ("container", "rm"),
    "rmi": ("image", "rm"),
    "run": ("container", "run"),
    "save": ("image", "save"),
    "start": ("container", "start"),
    "stats": ("container", "stats"),
    "stop": ("container", "stop"),
    "tag": ("image", "tag"),
    "top": ("container", "top"),
    "unpause": ("container", "unpause"),
    "update": ("container", "update"),
    "wait": ("container", "wait"),
}
"""The older, shorter names."""

ALONE: dict[str, str] = {
    "completion": "system.completion",
    "inspect": "system.inspect",
    "login": "system.login:LOGIN",
    "logout": "system.login:LOGOUT",
    "search": "image.search",
    "serve": "system.serve",
    "version": "system.version",
}
"""Commands without a noun."""

ALIASES: dict[str, dict[str, str]] = {
    "container": {"list": "ls", "ps": "ls", "remove": "rm"},
    "image": {"list": "ls", "remove": "rm"},
    "network": {"list": "ls", "remove": "rm"},
    "volume": {"list": "ls", "remove": "rm"},
}
"""Other names of verbs."""

LATER: frozenset[str] = frozenset(
    "checkpoint compose config context node plugin secret service stack swarm trust".split()
)
"""Docker's commands that are not here (yet): they get another answer than a slip."""

STARTING = frozenset(
    (
        NOUNS["container"]["restart"],
        NOUNS["container"]["run"],
        NOUNS["container"]["start"],
    )
)
"""The modules whose commands start a container, as soon as all goes well."""

HOT = frozenset(
    (
        NOUNS["container"]["exec"],
        NOUNS["container"]["ls"],
        NOUNS["container"]["run"],
        NOUNS["container"]["start"],
    )
)
"""The modules whose commands have bundles (see lean.bundle)."""

INSIDE = frozenset(
    (
        NOUNS["image"]["bootstrap"],
        NOUNS["builder"]["build"],
        NOUNS["builder"]["prune"],
        NOUNS["image"]["copy"],
        NOUNS["image"]["import"],
        NOUNS["image"]["load"],
        NOUNS["image"]["prune"],
        NOUNS["image"]["pull"],
        NOUNS["image"]["push"],
        NOUNS["image"]["rm"],
        NOUNS["system"]["prune"],
    )
)
"""The modules whose commands make or remove layers."""
