"""The SQLite database that holds all metadata, shared by any number of processes.

It is in WAL mode: readers never wait, writers wait for each other. A process may leave by
`_exit` or be killed at any instant without closing it.

Durability: an ordinary transaction survives the death of every process, not a power failure (a
container does not survive that either). A `durable` one survives both; since the log is written
in order, it makes all earlier ones durable too.
"""

from __future__ import annotations

import _thread
import posix

from proa.errors import (
    Conflict,
    CorruptData,
    NoSpace,
    PermissionDenied,
    ProaError,
    TimedOut,
    Unsupported,
)
from proa.lean.sqlite import connect
from proa.store.schema import STEPS, VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor
    from types import TracebackType
    from typing import Any

    Value = str | int | float | bytes | None
    Row = tuple[Any, ...]

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another process's transaction."""
CHECKPOINT_BYTES = 256 * 1024
"""Size of the log from which on reading it back costs the first process that opens it dearly."""

# SQLite's primary result codes (sqlite.org/rescode.html); the low byte of an extended code
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN = 3, 5, 6, 8, 10, 11, 13, 14
_CONSTRAINT, _NOTADB = 19, 26


class Constraint(ProaError):
    """A row would break a rule of its table; `rule` is SQLite's text. Callers say what it means."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class _PerThread(_thread._local):
    connection: Connection | None = None
    pid = 0
    depth = 0


class Database:
    """The database in the file `path`, opened when it is first used, once for each thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._mine = _PerThread()
        self._abandoned: list[Connection] = []

    def run(self, sql: str, values: tuple[Value, ...] = ()) -> int:
        """Execute one statement that changes rows; the number of rows changed.

        Raises `Constraint`, NoSpace, CorruptData, TimedOut, PermissionDenied.
        """
        return self._execute(sql, values).rowcount

    def insert(self, sql: str, values: tuple[Value, ...] = ()) -> int:
        """Execute one INSERT; the number of the new row. Raises as `run` does."""
        row = self._execute(sql, values).lastrowid
        assert row is not None
        return row

    def one(self, sql: str, values: tuple[Value, ...] = ()) -> Row | None:
        """The first row of a query, or None. Raises as `run` does."""
        cursor = self._execute(sql, values)
        try:
            row: Row | None = cursor.fetchone()
            # a statement that was not read to its end would keep its snapshot, and checkpoints
            # from making progress
            cursor.close()
        except cursor.connection.Error as error:
            raise self._explain(error) from error
        return row

    def all(self, sql: str, values: tuple[Value, ...] = ()) -> list[Row]:
        """All rows of a query. Raises as `run` does."""
        cursor = self._execute(sql, values)
        try:
            return cursor.fetchall()
        except cursor.connection.Error as error:
            raise self._explain(error) from error

    def transaction(self, *, durable: bool = False) -> Transaction:
        """What is executed within `with` takes effect together or not at all.

        It holds the only right to write from its beginning, so that what is read in it stays
        true to its end. One inside of another is a part of the outer one.
        """
        return Transaction(self, durable)

    def has_large_log(self) -> bool:
        """Whether it is time for a `checkpoint`."""
        try:
            return posix.stat(self.path + "-wal").st_size >= CHECKPOINT_BYTES
        except FileNotFoundError:
            return False

    def checkpoint(self) -> None:
        """Bring the log into the database file.

        Ordinary commits never do this, since it waits for the disk.
        """
        connection = self._connection()
        try:
            # busy readers are no error: another one will do the rest
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        except connection.Error as error:
            raise self._explain(error) from error

    def is_being_written(self) -> bool:
        """Whether another process or thread is in a transaction that writes, at this moment."""
        connection = self._connection()
        if self._mine.depth:
            return False
        try:
            connection.execute("PRAGMA busy_timeout=0")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
            connection.execute("ROLLBACK")
        except connection.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_BUSY, _LOCKED):
                return True
            raise self._explain(error) from error
        return False

    def open(self) -> None:
        """Open this thread's connection now, rather than when it is first used."""
        self._connection()

    def close(self) -> None:
        """Close this thread's connection; the next use opens another."""
        mine = self._mine
        if mine.connection is not None and mine.pid == posix.getpid():
            mine.connection.close()
        mine.connection = None

    def _execute(self, sql: str, values: tuple[Value, ...]) -> Cursor:
        connection = self._connection()
        try:
            return connection.execute(sql, values)
        except connection.Error as error:
            raise self._explain(error) from error

    def _connection(self) -> Connection:
        mine = self._mine
        connection = mine.connection
        if connection is not None:
            if mine.pid == posix.getpid():
                return connection
            # Inherited by fork(): SQLite's locks were not. It may be neither used nor closed.
            self._abandoned.append(connection)
        connection = mine.connection = self._open()
        mine.pid = posix.getpid()
        mine.depth = 0
        return connection

    def _open(self) -> Connection:
        try:
            posix.stat(self.path)
        except FileNotFoundError:
            create(self.path)
        connection = connect(self.path, timeout=BUSY_TIMEOUT)
        try:
            # These write nothing; the first one opens the log, which the first process after all
            # others have left reads back.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA foreign_keys=ON")
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        except connection.Error as error:
            raise self._explain(error) from error
        if version != VERSION:
            self._migrate(connection, version)
        return connection

    def _migrate(self, connection: Connection, version: int) -> None:
        if version > VERSION:
            raise Unsupported(
                f"{self.path} was written by a newer proa (version {version} of its tables, this"
                f" one knows {VERSION}); use that one, or another --root"
            )
        if version == 0:
            raise CorruptData(f"{self.path} is not a database of proa; move it away")
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            # another process may have been first
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for step in STEPS[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={max(version, VERSION)}")
            connection.execute("COMMIT")
            connection.execute("PRAGMA synchronous=NORMAL")
        except connection.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> ProaError:
        return explain(self.path, error)


class Transaction:
    """A transaction of a `Database`; see there."""

    def __init__(self, database: Database, durable: bool) -> None:
        self._database = database
        self._durable = durable

    def __enter__(self) -> None:
        database = self._database
        connection = database._connection()
        mine = database._mine
        if mine.depth == 0:
            try:
                if self._durable:
                    connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
            except connection.Error as error:
                raise explain(database.path, error) from error
        elif self._durable:
            raise Conflict("a durable transaction cannot be a part of one that is not")
        mine.depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        database = self._database
        connection = database._connection()
        mine = database._mine
        mine.depth -= 1
        if mine.depth:
            return
        try:
            # SQLite itself has rolled back after some errors, a full disk among them
            if kind is None:
                connection.execute("COMMIT")
            elif connection.in_transaction:
                connection.execute("ROLLBACK")
        except connection.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise explain(database.path, error) from error
        finally:
            if self._durable:
                connection.execute("PRAGMA synchronous=NORMAL")


def create(path: str) -> None:
    """Make an empty database at `path`, unless another process does so first.

    It appears complete: SQLite would not let several processes switch a new file to WAL mode at
    the same time.
    """
    temporary = f"{path}.{posix.getpid()}-{_thread.get_ident():x}"
    connection = connect(temporary)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for step in STEPS:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
        # closing brings the log into the file and removes it
        connection.close()
        posix.link(temporary, path)
        sync_directory(path.rpartition("/")[0] or ".")
    except FileExistsError:
        pass
    except connection.Error as error:
        raise explain(path, error) from error
    finally:
        connection.close()
        for suffix in ("", "-wal", "-shm"):
            try:
                posix.unlink(temporary + suffix)
            except FileNotFoundError:
                pass


def sync_directory(path: str) -> None:
    """Make what was created, renamed or removed in the directory `path` survive a power failure."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fsync(descriptor)
    finally:
        posix.close(descriptor)


def explain(path: str, error: Exception) -> ProaError:
    """The error of ours that stands for SQLite's `error` in the database `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == _CONSTRAINT:
        return Constraint(str(error))
    if code == _FULL or (code in (_IOERR, _CANTOPEN) and _is_full(path)):
        return NoSpace(
            f"no space left for the database {path}; free some on its file system, for instance"
            " by 'proa rm'"
        )
    if code in (_CORRUPT, _NOTADB):
        return CorruptData(f"the database {path} is damaged ({error}); restore it from a backup")
    if code in (_BUSY, _LOCKED):
        return TimedOut(
            f"the database {path} was busy for {BUSY_TIMEOUT:.0f} seconds; another process holds"
            " a transaction open"
        )
    if code in (_PERM, _READONLY, _CANTOPEN):
        return PermissionDenied(f"cannot write to the database {path} ({error})")
    return CorruptData(f"cannot use the database {path}: {error}")


def _is_full(path: str) -> bool:
    try:
        return posix.statvfs(path.rpartition("/")[0] or ".").f_bavail == 0
    except OSError:
        return False
