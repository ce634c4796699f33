"""Immutable value types: what a frozen dataclass is, without importing `dataclasses`.

    @record
    class Mount:
        source: str
        target: str
        read_only: bool = False

    mount = Mount("/a", "/b")
    mount = replace(mount, read_only=True)

Fields are the annotations of the class and of its bases, in order. Type checkers see an
ordinary frozen dataclass.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Never, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_):
        """Stand in for the marker of `typing`: it has no effect at run time."""
        return lambda decorator: decorator


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make `cls` an immutable value type whose fields are its annotations.

    Default values must be immutable: they are shared by all instances.
    """
    fields: dict[str, None] = {}
    defaults: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        for name in base.__dict__.get("__annotations__", ()):  # noqa: RUF063 - costs `inspect`
            fields[name] = None
            if name in base.__dict__:
                defaults[name] = base.__dict__[name]
    names = tuple(fields)
    required = frozenset(names) - defaults.keys()
    known = frozenset(names)
    title = cls.__name__

    def init(self: object, *args: object, **kwargs: object) -> None:
        if len(args) > len(names):
            raise TypeError(f"{title} takes {len(names)} values, got {len(args)}")
        values = dict(zip(names, args, strict=False))
        if clash := values.keys() & kwargs.keys():
            raise TypeError(f"{title} got several values for {', '.join(sorted(clash))}")
        values.update(kwargs)
        if missing := required - values.keys():
            raise TypeError(f"{title} misses {', '.join(sorted(missing))}")
        if unknown := values.keys() - known:
            raise TypeError(f"{title} has no field {', '.join(sorted(unknown))}")
        state = self.__dict__
        state.update(defaults)
        state.update(values)
        if post_init is not None:
            post_init(self)

    post_init = getattr(cls, "__post_init__", None)
    methods: dict[str, object] = {
        "__init__": init,
        "__setattr__": _refuse_assignment,
        "__delattr__": _refuse_deletion,
        "__repr__": _represent,
        "__eq__": _equal,
        "__hash__": _hash,
        "__match_args__": names,
    }
    for name, method in methods.items():
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)
    return cls


def fields(value: object) -> tuple[str, ...]:
    """The names of the fields of a record (or record type), in order."""
    names: tuple[str, ...] = value.__match_args__  # type: ignore[attr-defined]
    return names


def replace(value: T, /, **changes: Any) -> T:
    """A copy of the record `value` with some fields changed."""
    return type(value)(**{**{name: getattr(value, name) for name in fields(value)}, **changes})


def as_dict(value: object) -> dict[str, Any]:
    """The fields of the record `value` by name, in order; nested records stay records."""
    return {name: getattr(value, name) for name in fields(value)}


def pack(value: Any) -> Any:
    """`value`, of plain values and records, as `marshal` takes it; `unpack` makes it again."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple:
        return tuple([pack(item) for item in value])
    if kind is list:
        return [pack(item) for item in value]
    if kind is dict:
        return {key: pack(item) for key, item in value.items()}
    # no tuple of plain values begins with an ellipsis
    state = {name: pack(item) for name, item in value.__dict__.items()}
    return (..., kind.__module__, kind.__qualname__, state)


def unpack(packed: Any) -> Any:
    """What `pack` was given. For data of our own processes only: it names classes."""
    kind = type(packed)
    if kind is list:
        return [unpack(item) for item in packed]
    if kind is dict:
        return {key: unpack(item) for key, item in packed.items()}
    if kind is not tuple:
        return packed
    if not packed or packed[0] is not ...:
        return tuple([unpack(item) for item in packed])
    _, module, name, state = packed
    made = object.__new__(getattr(__import__(module, fromlist=(name,)), name))
    made.__dict__.update({key: unpack(item) for key, item in state.items()})
    return made


_PLAIN = frozenset((str, bytes, int, bool, float, type(None), frozenset))


def _refuse_assignment(self: object, name: str, _value: object) -> Never:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be set: records are immutable")


def _refuse_deletion(self: object, name: str) -> Never:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted: records are immutable")


def _represent(self: object) -> str:
    inner = ", ".join(f"{name}={getattr(self, name)!r}" for name in fields(self))
    return f"{type(self).__name__}({inner})"


def _equal(self: object, other: object) -> object:
    if type(other) is not type(self):
        return NotImplemented
    return self.__dict__ == other.__dict__


def _hash(self: object) -> int:
    return hash((type(self), *(getattr(self, name) for name in fields(self))))
