"""Work on images that may fail or be killed at any instant, and what is left over then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proa.errors import NoSpace
from proa.store.collect import collect, collect_abandoned

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.store.collect import Collected
    from proa.store.leases import Lease
    from proa.store.store import Store


class Work:
    """A lease, and the collection of what nothing refers to once the lease is given back.

        with Work(store, "load") as work:
            ... work.lease.protect(…) ...
            work.done(leftovers=False)

    A lease of a killed process tells the next command to collect. The one that protects must be
    given back before collection, or that would find nothing; so there is another one around
    both.
    """

    def __init__(self, store: Store, purpose: str) -> None:
        self._store = store
        self._marker = store.leases.take(purpose)
        self._lease = store.leases.take(purpose)
        self._leftovers = True
        self._done = False
        self.collected: Collected | None = None
        """what was collected; only after the end"""

    @property
    def lease(self) -> Lease:
        """What keeps content from collection."""
        return self._lease

    def done(self, *, leftovers: bool) -> None:
        """It was done well; `leftovers`: and something may be left that nothing refers to."""
        self._leftovers = leftovers
        self._done = True

    def __enter__(self) -> Self:
        collect_abandoned(self._store)
        self._marker.__enter__()
        try:
            self._lease.__enter__()
        except BaseException:
            self._marker.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._lease.__exit__(kind, value, traceback)
            if self._leftovers:
                self._collect()
        finally:
            self._marker.__exit__(kind, value, traceback)

    def _collect(self) -> None:
        try:
            self.collected = collect(self._store)
        except NoSpace:
            # what was done well is not called a failure for what is left over
            if not self._done:
                raise
