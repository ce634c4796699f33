"""Leases: what a process works on and nothing refers to yet is kept from collection."""

from __future__ import annotations

import os
import secrets
import time

from proa.errors import NoSpace
from proa.store.lock import FileLock, is_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from proa.oci.digest import Digest
    from proa.store.database import Database

BLOB = "blob"
LAYER = "layer"


class Leases:
    """The leases of a store.

    A lease is a row, and a lock on a file of its name that the kernel gives back when its owner
    dies. So whether it is in force needs neither a time nor a number of a process to be guessed
    at, and holds across reboots and pid namespaces.
    """

    def __init__(self, database: Database, directory: str) -> None:
        self._database = database
        self._directory = directory

    def take(self, purpose: str) -> Lease:
        """A lease for the duration of `with`. `purpose` is for people who wonder what works."""
        return Lease(self._database, self._directory, purpose)

    def abandoned(self) -> list[str]:
        """The leases whose owners died."""
        rows = self._database.all("SELECT token FROM leases")
        return [token for (token,) in rows if not is_held(f"{self._directory}/{token}")]

    def drop(self, token: str) -> None:
        """End a lease whose owner died."""
        self._database.run("DELETE FROM leases WHERE token = ?1", (token,))
        try:
            os.unlink(f"{self._directory}/{token}")
        except FileNotFoundError:
            pass

    def sweep(self) -> None:
        """Remove the lock files that no lease belongs to."""
        for name in os.listdir(self._directory):
            lock = FileLock(f"{self._directory}/{name}", remove=True)
            if not self._database.one(
                "SELECT 1 FROM leases WHERE token = ?1", (name,)
            ) and lock.acquire(block=False):
                lock.release()

    def protected(self, kind: str) -> set[str]:
        """The digests of one kind that some lease keeps."""
        rows = self._database.all("SELECT digest FROM leased WHERE kind = ?1", (kind,))
        return {digest for (digest,) in rows}


class Lease:
    """A lease in force; see `Leases.take`."""

    def __init__(self, database: Database, directory: str, purpose: str) -> None:
        self._database = database
        self._purpose = purpose
        self._token = secrets.token_hex(16)
        self._lock = FileLock(f"{directory}/{self._token}", remove=True)

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self._database.run(
                "INSERT INTO leases (token, pid, purpose, created) VALUES (?1, ?2, ?3, ?4)",
                (self._token, os.getpid(), self._purpose, time.time_ns()),
            )
        except BaseException:
            self._lock.release()
            raise
        return self

    def protect(self, kind: str, *digests: Digest) -> None:
        """Keep these from collection. Only after this it is worth asking whether they exist."""
        with self._database.transaction():
            for digest in digests:
                self._database.run(
                    "INSERT OR IGNORE INTO leased (lease, kind, digest) VALUES (?1, ?2, ?3)",
                    (self._token, kind, digest),
                )

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._database.run("DELETE FROM leases WHERE token = ?1", (self._token,))
        except NoSpace:
            pass  # what was worked on is done, or not; the next one takes this for a dead owner's
        finally:
            self._lock.release()
