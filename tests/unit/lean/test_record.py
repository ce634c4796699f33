from __future__ import annotations

import copy
import marshal
import pickle

import pytest

from proa.lean.record import as_dict, fields, pack, record, replace, unpack


@record
class Point:
    x: int
    y: int = 0


@record
class Labelled(Point):
    label: str = ""


@record
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError("not positive")


def test_values_by_position_and_name() -> None:
    assert Point(1, 2) == Point(y=2, x=1)
    assert Point(1).y == 0
    assert Labelled(1, 2, "a").label == "a"


def test_fields_of_bases_come_first() -> None:
    assert fields(Labelled) == ("x", "y", "label")
    assert as_dict(Labelled(1, label="a")) == {"x": 1, "y": 0, "label": "a"}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "Point misses x"),
        ((1, 2, 3), {}, "Point takes 2 values, got 3"),
        ((1,), {"x": 2}, "Point got several values for x"),
        ((1,), {"z": 2}, "Point has no field z"),
    ],
)
def test_wrong_values_are_named(
    args: tuple[int, ...], kwargs: dict[str, int], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*args, **kwargs)


def test_it_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match=r"Point\.x cannot be set"):
        point.x = 2
    with pytest.raises(AttributeError, match=r"Point\.x cannot be deleted"):
        del point.x
    with pytest.raises(AttributeError, match=r"Point\.z cannot be set"):
        point.z = 2
    assert point == Point(1)


def test_replace_makes_another_one() -> None:
    point = Point(1, 2)
    assert replace(point, x=3) == Point(3, 2)
    assert point == Point(1, 2)
    with pytest.raises(TypeError, match="no field z"):
        replace(point, z=1)


def test_replace_checks_again() -> None:
    with pytest.raises(ValueError, match="not positive"):
        replace(Positive(1), value=0)


def test_equality_is_by_type_and_value() -> None:
    assert Point(1, 2) != Point(2, 1)
    assert Labelled(1, 2) != Point(1, 2)
    assert Point(1, 2) != (1, 2)


def test_hash_goes_with_equality() -> None:
    assert len({Point(1, 2), Point(1, 2), Labelled(1, 2)}) == 2


def test_it_is_shown_as_it_is_written() -> None:
    assert repr(Labelled(1, label="a")) == "Labelled(x=1, y=0, label='a')"


def test_structural_matching() -> None:
    match Labelled(1, 2, "a"):
        case Labelled(x, y, label):
            assert (x, y, label) == (1, 2, "a")


def test_copies_are_equal() -> None:
    point = Labelled(1, 2, "a")
    assert copy.copy(point) == point
    assert copy.deepcopy(point) == point
    assert pickle.loads(pickle.dumps(point)) == point


def test_methods_of_the_class_stay() -> None:
    @record
    class Loud:
        name: str

        def __repr__(self) -> str:
            return self.name.upper()

    assert repr(Loud("a")) == "A"


@record
class Leaf:
    name: str
    data: bytes = b""


@record
class Tree:
    leaves: tuple[Leaf, ...]
    by_name: dict[str, Leaf]
    kinds: frozenset[str]
    extra: object = None


@pytest.mark.parametrize(
    "value",
    [
        Leaf("a", b"\0\xff"),
        Tree((Leaf("a"), Leaf("b")), {"a": Leaf("a")}, frozenset(("x", "y"))),
        Tree((), {}, frozenset(), {"list": [1, (2, 3), None, True, 1.5], "empty": ()}),
        (Leaf("a"), [Leaf("b")]),
    ],
)
def test_packed_values_pass_through_marshal(value: object) -> None:
    assert unpack(marshal.loads(marshal.dumps(pack(value)))) == value


def test_what_is_unpacked_is_of_its_type() -> None:
    tree = unpack(pack(Tree((Leaf("a"),), {}, frozenset())))

    assert isinstance(tree, Tree) and isinstance(tree.leaves[0], Leaf)
    with pytest.raises(AttributeError):
        tree.extra = 1
