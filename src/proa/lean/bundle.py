"""Loads the modules of an entry point from one file, in the order in which they are needed.

A process of proa imports some sixty small modules. Half of the time that takes goes into looking
for each, opening it and reading it. A bundle is one file with their compiled code, kept beside
Python's own in `__pycache__`: made by the first process that had to do without it, and made anew
when a module has changed. Where it cannot be written, modules are imported one by one, as ever.

    load("run")     # what `run` is known to need
    …
    save()          # if all went well: what it did need, up to here or to `end()`
"""

from __future__ import annotations

import gc
import marshal
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType

    # name, path of its source, whether it is a package, the source's size, its time (ns), and its
    # code. All are in one marshal: what two modules say, a name for instance, is there once
    Row = tuple[str, str, bool, int, int, CodeType]

_DIRECTORY = f"{__file__.rsplit('/', 2)[0]}/__pycache__"
_FORMAT = (3, sys.version)
_WORD = 0xFFFF_FFFF
_STANDARD = frozenset(("__future__", "struct"))
"""Modules of the standard library that belong to nearly all processes of proa."""


_missed: list[tuple[str | None, frozenset[str]]] = []
"""Entry points without a valid bundle, in order, with what was imported before each; None: what
belongs to no bundle, or is in a valid one. It belongs to the process, as sys.modules does.
"""


_apart: set[str] = set()
"""Modules of parts: they belong to no entry point."""
_parts: dict[str, frozenset[str]] = {}
"""Parts without a valid bundle, and what was imported for each."""


class Part:
    """What is imported within `with` is needed by some processes only: it has a bundle of its own.

    with Part("network"):
        import proa.network.attach
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: frozenset[str] = frozenset()
        self._is_valid = False

    def __enter__(self) -> None:
        self._before = frozenset(sys.modules)
        rows = _read(self._name)
        self._is_valid = rows is not None
        if rows is not None:
            _import(rows)

    def __exit__(self, *_: object) -> None:
        new = frozenset(sys.modules) - self._before
        _apart.update(new)
        if not self._is_valid:
            _parts[self._name] = new


def load(entry: str) -> None:
    """Import what `entry`, a plain file name, needed the last time."""
    collecting = gc.isenabled()
    gc.disable()  # nothing of this is garbage
    rows = _read(entry)
    if rows is None or _missed:
        _missed.append((entry if rows is None else None, frozenset(sys.modules)))
    if rows is not None:
        _import(rows)
    if collecting:
        gc.enable()


def end() -> None:
    """What is imported from here on does not belong to the entry point before."""
    if _missed:
        _missed.append((None, frozenset(sys.modules)))


def abandon() -> None:
    """Write no bundle: this process imports what others of its kind will not need."""
    _missed.clear()


def save() -> None:
    """Write the bundles that were missing, as far as that can be done."""
    marks = _missed[:]
    parts = _parts.copy()
    _missed.clear()
    _parts.clear()
    if not (marks or parts) or sys.dont_write_bytecode:
        return
    following = [*(before for _, before in marks), frozenset(sys.modules)][1:]
    wanted = [
        (entry, after - before - _apart)
        for (entry, before), after in zip(marks, following, strict=True)
        if entry is not None
    ]
    for entry, new in (*wanted, *parts.items()):
        # sys.modules is in the order in which imports were completed: importlib puts a module
        # to the end when it is done
        names = [
            name
            for name in sys.modules
            if name in new and (name[:5] == "proa." or name in _STANDARD)
        ]
        try:
            _write(entry, [row for name in names if (row := _row(sys.modules[name])) is not None])
        except OSError:
            return


def _read(entry: str) -> list[Row] | None:
    """The rows of the bundle, if there is one and every source is as it was."""
    try:
        descriptor = posix.open(_path(entry), posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = posix.read(descriptor, posix.fstat(descriptor).st_size)
        form, rows = marshal.loads(data)  # noqa: S302 - whoever can write it can write modules
        if form != _FORMAT:
            return None
        for _, origin, _, size, time, _ in rows:
            now = posix.stat(origin)
            if now.st_size != size or now.st_mtime_ns != time:
                return None
    except (OSError, ValueError, EOFError, TypeError):
        return None
    finally:
        posix.close(descriptor)
    return list(rows)


def _import(rows: list[Row]) -> None:
    """What importlib does, but for looking for each module."""
    from _frozen_importlib import ModuleSpec
    from _frozen_importlib_external import SourceFileLoader

    modules = sys.modules
    module_type = type(sys)
    orphans: list[str] = []
    for name, origin, is_package, _, _, code in rows:
        if name in modules:
            continue
        loader = SourceFileLoader(name, origin)
        spec = ModuleSpec(name, loader, origin=origin, is_package=is_package)
        spec._set_fileattr = True  # type: ignore[attr-defined]
        # module_from_spec does the same, and asks before each step whether it is needed
        module = modules[name] = module_type(name)
        values = module.__dict__
        values["__spec__"] = spec
        values["__loader__"] = loader
        values["__file__"] = origin
        if is_package:
            values["__package__"] = name
            values["__path__"] = spec.submodule_search_locations = [origin.rpartition("/")[0]]
        else:
            values["__package__"] = name.rpartition(".")[0]
        try:
            exec(code, values)  # noqa: S102 - by Python itself
        except BaseException:
            del modules[name]
            raise
        parent, _, last = name.rpartition(".")
        if parent in modules:
            setattr(modules[parent], last, module)
        elif parent:
            orphans.append(name)
    # a package comes after those of its modules that it imports
    for name in orphans:
        parent, _, last = name.rpartition(".")
        if parent not in modules:
            __import__(parent)  # it is in another bundle, which this process has not loaded
        setattr(modules[parent], last, modules[name])


def _row(module: ModuleType) -> Row | None:
    """A module as it goes into a bundle; None: one that has no compiled file of its own."""
    spec = module.__spec__
    if spec is None or not spec.origin or not spec.cached:
        return None
    try:
        source = posix.stat(spec.origin)
        descriptor = posix.open(spec.cached, posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        data = posix.read(descriptor, posix.fstat(descriptor).st_size)
    finally:
        posix.close(descriptor)
    # PEP 552: magic number, flags, and the source's time and size when this was compiled
    time, size = (int.from_bytes(data[at : at + 4], "little") for at in (8, 12))
    if time != int(source.st_mtime) & _WORD or size != source.st_size & _WORD:
        return None
    is_package = spec.submodule_search_locations is not None
    code: CodeType = marshal.loads(memoryview(data)[16:])  # noqa: S302 - compiled by Python
    return module.__name__, spec.origin, is_package, source.st_size, source.st_mtime_ns, code


def _write(entry: str, rows: list[Row]) -> None:
    path = _path(entry)
    temporary = f"{path}.{posix.getpid()}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    descriptor = posix.open(temporary, flags, 0o644)
    try:
        data = memoryview(marshal.dumps((_FORMAT, rows)))
        while data:
            data = data[posix.write(descriptor, data) :]
        posix.rename(temporary, path)
    except BaseException:
        posix.unlink(temporary)
        raise
    finally:
        posix.close(descriptor)


def _path(entry: str) -> str:
    return f"{_DIRECTORY}/{entry}.{sys.implementation.cache_tag}.bundle"
