"""Dataclasses and named tuples that are cheap to declare.

The standard library's decorator compiles up to six methods of each class from text. For the two hundred classes of
the compiler that takes as long as the optimization of a small net. Here only ``__init__`` is compiled, when a class
gets its first instance; the other methods are closures over the fields. The standard library also searches or compiles
the text of each annotation; here annotations stay text.
"""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

Method = Callable[..., Any]

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from typing import NamedTuple as NamedTuple
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, eq: bool = True, **others: Any) -> Any:
        """Decorate a class like ``dataclasses.dataclass``, but compile its ``__init__`` only for the first instance.

        Use the decorator for classes that users do not construct: ``inspect.signature`` returns the arguments only
        after the first instance. A frozen class of the standard library's decorator cannot inherit from a class of this
        one. Annotations must be text. ``InitVar`` and ``KW_ONLY`` are not supported. Other options, such as ``slots``,
        are the standard library's.

        With ``frozen=True, slots=True``, only type checkers refuse assignments. At run time, the standard library's
        refusal would triple the time to create an instance, and a graph has thousands of nodes, types and sizes.
        """
        if others and not others.get("slots"):
            return dataclasses.dataclass(cls, frozen=frozen, eq=eq, **others)

        def declare_slots(cls: type) -> type:
            hashed = frozen and eq and cls.__dict__.get("__hash__") is None
            return dataclasses.dataclass(cls, eq=eq, unsafe_hash=hashed, **others)

        def declare(cls: type) -> type:
            own = set(cls.__dict__)
            fields = _declared_fields(cls)
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

        decorator = declare_slots if others else declare
        return decorator if cls is None else decorator(cls)

    class _NamedTupleMeta(type):
        """Metaclass that makes a named tuple of each class that derives from ``NamedTuple``."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            annotations = body.get("__annotations__", {})
            defaults = [body[field] for field in annotations if field in body]
            tuple_class = namedtuple(name, annotations, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in annotations:
                    setattr(tuple_class, key, value)
            return tuple_class

    class NamedTuple(metaclass=_NamedTupleMeta):
        """Base of named tuples, like ``typing.NamedTuple``, for classes that users do not construct.

        Generic named tuples derive from the standard library's class.
        """


def _declared_fields(cls: Any) -> Sequence[dataclasses.Field[Any]]:
    """Make a class a dataclass without methods. Return its fields.

    The standard library searches the text of an annotation for special types, so it gets ``object`` for most texts.
    """
    annotations = cls.__annotations__
    cls.__annotations__ = {name: text if "ClassVar" in text else object for name, text in annotations.items()}
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    cls.__annotations__ = annotations
    fields = dataclasses.fields(cls)
    for item in fields:
        item.type = annotations.get(item.name, item.type)
    return fields


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
    """Return an ``__init__`` with the parameters, defaults and ``__post_init__`` of a dataclass.

    In the compiled text, fields have numbers instead of names, so that classes of one form share its code.
    """
    fields = {f"_{number}": item for number, item in enumerate(dataclasses.fields(cls))}
    # ``errors.is_ours`` recognizes the method by the name of its module.
    names: dict[str, Any] = {"__name__": cls.__module__, "_MISSING": dataclasses.MISSING}
    by_position, by_keyword = ["self"], list[str]()
    defaults: dict[str, Any] = {}
    lines = ["_into = self.__dict__"] if frozen else []
    for name, item in fields.items():
        value = name
        if item.default is not dataclasses.MISSING:
            defaults[name] = item.default
        elif item.default_factory is not dataclasses.MISSING:
            names[f"_new{name}"], defaults[name] = item.default_factory, dataclasses.MISSING
            value = f"_new{name}() if {name} is _MISSING else {name}" if item.init else f"_new{name}()"
        if item.init:
            (by_keyword if item.kw_only else by_position).append(name)
        elif item.default_factory is dataclasses.MISSING:
            continue  # the default is the class's attribute
        lines.append(f"_into[{name!r}] = {value}" if frozen else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    have_default = [name in defaults for name in by_position]
    if have_default != sorted(have_default):
        raise TypeError(f"{cls.__qualname__} has a field without a default after a field with one")
    parameters = ", ".join([*by_position, *(["*", *by_keyword] if by_keyword else [])])
    code = _code("\n ".join([f"def __init__({parameters}):", *(lines or ["pass"])]))
    init = FunctionType(_renamed(code, {name: item.name for name, item in fields.items()}), names)
    init.__defaults__ = tuple(defaults[name] for name in by_position if name in defaults)
    init.__kwdefaults__ = {fields[name].name: defaults[name] for name in by_keyword if name in defaults}
    init.__annotations__ = {item.name: item.type for item in fields.values() if item.init} | {"return": None}
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


@cache
def _code(function: str) -> CodeType:
    """Compile the text of a function, once for each text. Return its code."""
    (code,) = (item for item in compile(function, "<string>", "exec").co_consts if isinstance(item, CodeType))
    return code


def _renamed(code: CodeType, names: Mapping[str, str]) -> CodeType:
    """Return a function's code, in which ``names`` renames parameters, attributes and constants that are texts."""

    def new(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(names.get(item, item) for item in items)

    return code.replace(co_varnames=new(code.co_varnames), co_names=new(code.co_names), co_consts=new(code.co_consts))
