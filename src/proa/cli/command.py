"""What a command is: data about it, and a function."""

from __future__ import annotations

import posix

from proa.lean.record import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proa.cli.flags import Flag, Values
    from proa.engine.engine import Engine
    from proa.engine.monitors import Monitors


@record
class Command:
    """A command and what it takes; help and completion are made of the same data."""

    usage: str
    """what follows the name: `[OPTIONS] CONTAINER [CONTAINER...]`"""
    summary: str
    run: Callable[[Session, Values, list[str]], int]
    """gives the exit code; raises ProaError"""
    flags: tuple[Flag, ...] = ()
    minimum: int = 0
    maximum: int | None = None
    """how many positional arguments; None: any number"""
    interspersed: bool = True
    """flags may follow positional arguments"""
    failure: int = 1
    """the exit code for errors that have none of their own"""
    completes: str = ""
    """what the positional arguments name: containers, running, images, volumes"""


class Session:
    """One call of the command: the global options and the engine."""

    def __init__(self, *, root: str | None = None, debug: bool = False) -> None:
        self.root = root
        self.debug = debug
        self.path = ""
        """the command as it was called: `container run`"""
        self._engine: Engine | None = None
        self._monitors: Monitors | None = None

    def expect_start(self) -> None:
        """The command is one that starts a container: begin with what takes longest."""
        from proa.engine.monitors import Monitors

        self._monitors = Monitors(ahead=True)

    def enter_user_namespace(self) -> None:
        """The command makes or removes layers, which an ordinary user can do only as root of a
        user namespace: become that. No effect for root.
        """
        if posix.geteuid() == 0:
            return
        from proa.cli.output import complain
        from proa.engine.engine import default_root
        from proa.monitor.rootless import enter, mappings

        # inside, this process seems to be root's
        self.root = self.root or default_root()
        reason = mappings().reason
        enter()
        if reason:
            complain(
                f"warning: {reason}: all files of images will belong to you, and containers have"
                " no other user than root; see 'proa system check'"
            )

    @property
    def engine(self) -> Engine:
        """The engine, opened when first asked for."""
        if self._engine is None:
            from proa.engine.engine import Engine

            if self._monitors is None:
                from proa.engine.monitors import Monitors

                # one command starts few monitors: a process that forks them would idle
                self._monitors = Monitors()
            self._engine = Engine(self.root, monitors=self._monitors)
            self._engine.on_warning = _warn
        return self._engine

    @engine.setter
    def engine(self, engine: Engine) -> None:
        self._engine = engine


def _warn(text: str) -> None:
    from proa.cli.output import complain

    complain(f"warning: {text}")
