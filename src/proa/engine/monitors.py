"""Where monitors come from: started one by one, ahead of need, or forked by a spawner."""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.lean.channel import Channel
    from proa.monitor.launch import Spawner


class Monitors:
    """Gives processes that wait for a container to run.

    `spawner`: keep a process at hand that forks them, for programs that start several containers.
    `ahead`: start one now. Its interpreter comes up while this process finds out what to run.
    """

    def __init__(self, *, spawner: bool = False, ahead: bool = False) -> None:
        self._keep_spawner = spawner
        self._spawner: Spawner | None = None
        self._one_at_a_time = _thread.allocate_lock()
        self._ahead = self._start() if ahead else None

    def prepare(self) -> Channel:
        """A process that waits for its job; closing the channel ends it."""
        if self._ahead is not None:
            channel, self._ahead = self._ahead, None
            return channel
        if not self._keep_spawner:
            return self._start()
        with self._one_at_a_time:
            if self._spawner is None:
                from proa.monitor.launch import Spawner

                self._spawner = Spawner()
            return self._spawner.prepare()

    def close(self) -> None:
        """Let those end that wait. Containers go on."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
        if self._spawner is not None:
            self._spawner.close()
            self._spawner = None

    @staticmethod
    def _start() -> Channel:
        # imported late: most commands start none
        from proa.monitor.launch import prepare

        return prepare()
