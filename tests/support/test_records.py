"""The compiler's own data classes behave like those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, get_type_hints

import pytest

from rnngraph.support import records


def _classes(dataclass: Callable[..., Any]) -> dict[str, Any]:
    @dataclass(frozen=True)
    class Point:
        x: int
        y: int = 2
        names: tuple[str, ...] = dataclasses.field(default=(), compare=False, repr=False)
        state: dict[str, int] = dataclasses.field(default_factory=dict, compare=False)

    @dataclass
    class Changing:
        items: list[int] = dataclasses.field(default_factory=list)
        total: int = dataclasses.field(init=False, default=0)
        scale: float = dataclasses.field(default=1.0, kw_only=True)

        def __post_init__(self) -> None:
            self.total = sum(self.items)

    @dataclass(frozen=True)
    class Inherits(Point):
        z: int = 5

        def __repr__(self) -> str:
            return "own"

    @dataclass(frozen=True, eq=False)
    class Identity:
        x: int

    @dataclass(frozen=True)
    class Empty:
        pass

    @dataclass(frozen=True)
    class Hashed:
        x: int

        def __hash__(self) -> int:
            return 11

    @dataclass
    class Shared:
        unit: ClassVar[str] = "ms"
        time: int = 0

    @dataclass(frozen=True, slots=True)
    class Slots:
        x: int
        y: float = 0.0
        known: bool = dataclasses.field(default=False, init=False, compare=False)

    @dataclass(frozen=True, slots=True)
    class HashedSlots:
        x: int

        def __hash__(self) -> int:
            return 12

    @dataclass(frozen=True, eq=False, slots=True)
    class IdentitySlots:
        x: int

    classes = (Point, Changing, Inherits, Identity, Empty, Hashed, Shared, Slots, HashedSlots, IdentitySlots)
    return {item.__name__: item for item in classes}


EXPRESSIONS = """
Point(1) == Point(1, 2, ("a",)); Point(1) == Point(2); Point(1) == Inherits(1); Point(1) == 1; Point(1) != Point(1)
hash(Point(1)) == hash(Point(1, 2, ("b",))); {Point(1): 3}[Point(1)]; Point.__match_args__; Point(y=3, x=1)
Changing([1, 2]); Changing(scale=2.0) == Changing(); Changing([1]).total; Changing().items is Changing().items
Point(1, state={"x": 4}).state
hash(Changing()); Changing(1, 2); Changing([1], total=2); Point(); Point(1, 2, (), 4); Point(1, a=2); Point(1).a
Inherits(1); Inherits(1) == Inherits(1); Inherits(1).z; Inherits(1, z=6).z; Identity(1) == Identity(1); {Empty(): 1}
Empty() == Empty(); Empty(); hash(Hashed(1)); Hashed(1) == Hashed(1); setattr(Point(1), "x", 2); delattr(Point(1), "x")
dataclasses.replace(Point(1), y=7); dataclasses.asdict(Inherits(1)); [f.name for f in dataclasses.fields(Changing)]
copy.deepcopy(Changing([1])).total; Hashed(1) and str(inspect.signature(Hashed)); isinstance(Inherits(1), Point)
Slots(1); Slots(1) == Slots(1, 0.0); Slots(1) != Slots(2); hash(Slots(1)) == hash(Slots(1)) == hash((1, 0.0))
Slots(x=1, z=2); Slots.__slots__; Slots(1).z; {Slots(1): 3}[Slots(1)]; dataclasses.replace(Slots(1), y=2.0)
copy.deepcopy(Slots(1, 3.0)); vars(Slots(1)); hash(HashedSlots(1)); HashedSlots(1) == HashedSlots(1)
IdentitySlots(1) == IdentitySlots(1); len({IdentitySlots(1), IdentitySlots(1)}); Slots.__match_args__
Shared(2); Shared(unit="s"); Shared.unit; [f.type for f in dataclasses.fields(Inherits)]; Inherits.__annotations__
"""


@pytest.mark.parametrize(
    "expression", [item.strip() for item in EXPRESSIONS.replace("\n", ";").split(";") if item.strip()]
)
def test_as_the_standard_librarys(expression: str) -> None:
    def outcome(dataclass: Callable[..., Any]) -> str:
        try:
            value = eval(
                expression, {**_classes(dataclass), "dataclasses": dataclasses, "copy": copy, "inspect": inspect}
            )
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return repr(value)

    assert outcome(records.dataclass) == outcome(dataclasses.dataclass)


def _tuple(base: Any) -> Any:
    class Feed(base):
        """Array of an input."""

        name: str
        rank: int = 1
        sizes: tuple[int, ...] = ()

        @property
        def is_scalar(self) -> bool:
            return self.rank == 0

        def __repr__(self) -> str:
            return f"{self.name}/{self.rank}"

    return Feed


@pytest.mark.parametrize(
    "expression",
    [
        "Feed('x')",
        "Feed('x', rank=0).is_scalar",
        "tuple(Feed('x', 2))",
        "Feed('x')._replace(sizes=(3,)).sizes",
        "Feed._fields, Feed._field_defaults, Feed.__doc__, Feed.__module__, Feed.__qualname__",
        "Feed('x') == ('x', 1, ()), hash(Feed('x')) == hash(('x', 1, ()))",
        "Feed.__mro__[1:], Feed.__slots__, Feed.__match_args__",
        "get_type_hints(Feed)",
        "Feed()",
        "Feed('x', 1, (), 2)",
    ],
)
def test_named_tuples_as_the_standard_librarys(expression: str) -> None:
    def outcome(base: Any) -> str:
        try:
            return repr(eval(expression, {"Feed": _tuple(base), "get_type_hints": get_type_hints}))
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    assert outcome(records.NamedTuple) == outcome(NamedTuple)


@records.dataclass(frozen=True)
class Pickled:
    x: int


class PickledTuple(records.NamedTuple):
    x: int


def test_pickles() -> None:
    assert pickle.loads(pickle.dumps(Pickled(3))) == Pickled(3)
    assert type(pickle.loads(pickle.dumps(PickledTuple(3)))) is PickledTuple


def test_methods_of_an_instance_are_compiled_once() -> None:
    point = _classes(records.dataclass)["Point"]
    assert point.__init__.__name__ == "init"
    point(1)
    compiled = point.__init__
    point(2)
    assert point.__init__ is compiled
    assert compiled.__qualname__.endswith("Point.__init__")


def test_the_decorator_may_be_called_with_the_class() -> None:
    class Plain:
        x: int

    assert records.dataclass(Plain, frozen=True, slots=True)(3).x == 3


def test_similar_classes_share_the_code_of_their_init() -> None:
    @records.dataclass(frozen=True)
    class Left:
        name: str
        _1: int = 3

    @records.dataclass(frozen=True)
    class Right:
        _1: str
        name: int = 4

    assert (vars(Left("a")), vars(Right("b"))) == ({"name": "a", "_1": 3}, {"_1": "b", "name": 4})
    assert Left.__init__.__code__.co_code == Right.__init__.__code__.co_code
    with pytest.raises(TypeError, match=r"Right.__init__.* missing 1 required positional argument: '_1'"):
        Right(name=1)


def test_a_field_without_a_default_after_one_with_a_default() -> None:
    @records.dataclass
    class Wrong:
        name: str = ""
        size: int  # type: ignore[misc]

    with pytest.raises(TypeError, match="Wrong has a field without a default after a field with one"):
        Wrong("a", 2)
