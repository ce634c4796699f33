"""What happens to containers when the machine goes down, and when it is up again.

Docker's daemon does that by being one of the first to start and one of the last to end. Here it is
two calls, for whoever starts and stops services.
"""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from proa.engine import config as configs
from proa.errors import Conflict, ProaError
from proa.lean import clock
from proa.lean.record import record
from proa.monitor import restart
from proa.store.lock import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proa.engine.container import Container
    from proa.engine.engine import Engine
    from proa.store.containers import ContainerRow

_MOST_AT_A_TIME = 64


@record
class Outcome:
    """What came of starting or stopping one container."""

    name: str
    error: ProaError | None = None


def boot(engine: Engine, *, on_outcome: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Start what ran when the machine, or their monitors, went down, as their restart policies say:
    always, unless-stopped where nobody had stopped them, and those that restart on failure.

    What runs, or was made and never started, or has ended by itself in this boot, is left alone.
    Containers start in parallel, in the order in which they were made; one that joins another's
    namespaces starts after that. Each outcome is also passed on as soon as it is there.
    """
    here = clock.boot_id()
    # two that do it at the same time would get into each other's way
    with FileLock(engine.store.path("run", "locks", "boot")):
        found = [container for container in _all(engine) if wanted(container.row, here)]
        after = {container.id: frozenset(_joined(container)) for container in found}
        return _each(found, after, _start, os.cpu_count() or 1, on_outcome)


def halt(engine: Engine, *, on_outcome: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Stop all that runs, such that `boot` starts it again: the machine is about to go down.

    Each has its own stop signal and timeout; one whose namespaces others have joined ends last.
    """
    found = [container for container in _all(engine) if container.status in _LIVE]
    after: dict[str, set[str]] = {container.id: set() for container in found}
    for container in found:
        for other in _joined(container):
            after.get(other, set()).add(container.id)
    return _each(
        found,
        {id: frozenset(others) for id, others in after.items()},
        lambda container: container.halt(),
        _MOST_AT_A_TIME,
        on_outcome,
    )


def wanted(row: ContainerRow, boot_id: str) -> bool:
    """Whether `boot` starts it; `boot_id`: of the machine as it is now."""
    state = row.state
    interrupted = bool(state.get("interrupted"))
    if state["status"] != "exited" or not (interrupted or state.get("boot") != boot_id):
        return False
    policy = configs.from_json(row.config["request"]).restart.name
    if policy == "always":
        return True
    if state.get("stopped"):
        return False
    return policy == "unless-stopped" or (policy in restart.LIMITED and interrupted)


_LIVE = ("running", "paused", "restarting")


def _start(container: Container) -> None:
    try:
        container.start()
    except Conflict:
        container.reload()
        if container.status not in _LIVE:
            raise  # otherwise someone else was faster


def _all(engine: Engine) -> list[Container]:
    """All containers, put in order, the oldest first."""
    return engine.containers.list(all=True)[::-1]


def _joined(container: Container) -> list[str]:
    return list(configs.joined(container.config).values())


def _each(
    containers: list[Container],
    after: Mapping[str, frozenset[str]],
    action: Callable[[Container], None],
    at_a_time: int,
    on_outcome: Callable[[Outcome], None] | None,
) -> list[Outcome]:
    """Do it to each in threads; to one only after it was done to those of `after` among them."""
    outcomes: list[Outcome] = []
    waiting = {container.id: container for container in containers}
    pending: dict[Future[None], Container] = {}
    open_ids = set(waiting)
    with ThreadPoolExecutor(max(1, at_a_time)) as pool:
        while waiting or pending:
            ready = [id for id in waiting if not after[id] & open_ids - {id}]
            for id in ready or ([] if pending else [*waiting]):  # a circle: each may fail by itself
                container = waiting.pop(id)
                pending[pool.submit(action, container)] = container
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                container = pending.pop(future)
                open_ids.discard(container.id)
                error = future.exception()
                if error is not None and not isinstance(error, ProaError):
                    raise error
                outcomes.append(Outcome(container.name, error))
                if on_outcome is not None:
                    on_outcome(outcomes[-1])
    return outcomes
