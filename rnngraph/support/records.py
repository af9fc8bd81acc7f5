"""Dataclasses that are cheap to declare.

The standard library's decorator compiles up to six methods of each class from text. For the two hundred classes of
the compiler that takes as long as the optimization of a small net. Here only ``__init__`` is compiled, when a class
gets its first instance; the other methods are closures over the fields.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

Method = Callable[..., Any]

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, eq: bool = True, **others: Any) -> Any:
        """Decorate a class like ``dataclasses.dataclass``, but compile its ``__init__`` only for the first instance.

        Use the decorator for classes that users do not construct: ``inspect.signature`` returns the arguments only
        after the first instance. A frozen class of the standard library's decorator cannot inherit from a class of this
        one. Other options, such as ``slots``, are the standard library's.
        """
        if others:
            return dataclasses.dataclass(cls, frozen=frozen, eq=eq, **others)

        def declare(cls: type) -> type:
            own = set(cls.__dict__)
            dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
            fields = dataclasses.fields(cls)
            methods: dict[str, Any] = {"__init__": _first_init(cls, frozen)}
            methods["__repr__"] = _repr([item.name for item in fields if item.repr])
            if eq:
                values = _values([item.name for item in fields if item.compare])
                methods["__eq__"] = _eq(values)
                # A class body with an __eq__ and no __hash__ has None as its __hash__.
                if cls.__dict__.get("__hash__") is None:
                    own.discard("__hash__")
                methods["__hash__"] = _hash(values) if frozen else None
            if frozen:
                methods |= {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
            for name, method in methods.items():
                if name not in own:
                    setattr(cls, name, method)
            return cls

        return declare if cls is None else declare(cls)


def _values(names: Sequence[str]) -> Method:
    """Return a function that returns the values of these fields: a tuple, or a single value."""
    return attrgetter(*names) if names else lambda _: ()


def _eq(values: Method) -> Method:
    def equal(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return equal


def _hash(values: Method) -> Method:
    return lambda self: hash(values(self))


def _repr(names: Sequence[str]) -> Method:
    def text(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{self.__class__.__qualname__}({shown})"

    return text


def _refuse_assignment(self: Any, name: str, value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _first_init(cls: Any, frozen: bool) -> Method:
    """Return an ``__init__`` that compiles the class's own ``__init__`` and replaces itself by it."""

    def init(self: Any, *arguments: Any, **keywords: Any) -> None:
        cls.__init__ = _compiled_init(cls, frozen)
        cls.__init__(self, *arguments, **keywords)

    return init


def _compiled_init(cls: Any, frozen: bool) -> Method:
    """Return an ``__init__`` with the parameters, defaults and ``__post_init__`` of a dataclass."""
    # ``errors.is_ours`` recognizes the method by the name of its module.
    names: dict[str, Any] = {"__name__": cls.__module__, "_MISSING": dataclasses.MISSING}
    by_position = ["self"]
    by_keyword: list[str] = []
    lines = ["_into = self.__dict__"] if frozen else []
    for item in dataclasses.fields(cls):
        name = value = item.name
        parameter = name
        if item.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = item.default
            parameter = f"{name}=_default_{name}"
        elif item.default_factory is not dataclasses.MISSING:
            names[f"_new_{name}"] = item.default_factory
            parameter = f"{name}=_MISSING"
            value = f"_new_{name}() if {name} is _MISSING else {name}" if item.init else f"_new_{name}()"
        if item.init:
            (by_keyword if item.kw_only else by_position).append(parameter)
        elif item.default_factory is dataclasses.MISSING:
            continue  # the default is the class's attribute
        lines.append(f"_into[{name!r}] = {value}" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join([*by_position, *(["*", *by_keyword] if by_keyword else [])])
    exec("\n ".join([f"def __init__({parameters}):", *(lines or ["pass"])]), names)
    init: Method = names["__init__"]
    init.__annotations__ = {item.name: item.type for item in dataclasses.fields(cls) if item.init} | {"return": None}
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init
