"""Declarations that are made and written down at once: what a reader declares, and the script that says the same.

A reader calls public functions through ``Script.call``. Each call is made, so that the net exists, and kept as an
expression, so that ``text`` can write the script. Nothing of a file enters the script but as a literal of Python.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..declare.cell import Cell
from ..declare.drivers import bidirectional_dynamic_rnn, dynamic_rnn, stack_bidirectional_dynamic_rnn, static_rnn
from ..declare.placeholders import placeholder
from ..declare.tensor import Tensor
from ..ir.graph import topological
from ..passes.lowering.names import settle
from .own_source import Own, is_own

WEIGHTS = "weights.safetensors"
"""The file beside a script that holds its parameters."""
_OURS = ("rg", "program", "Path", "float", "range")
"""Names of a script that variables can't have."""
WIDEST = 100
"""Characters of a line, from which on a call has one argument a line."""
LONGEST_INLINE = 60
"""Characters of an expression that may stand within another one."""

_UNPACKED: Mapping[Callable[..., Any], Any] = {
    dynamic_rnn: ("outputs", "state"),
    static_rnn: ("outputs", "state"),
    bidirectional_dynamic_rnn: (("outputs_fw", "outputs_bw"), ("state_fw", "state_bw")),
    stack_bidirectional_dynamic_rnn: ("outputs", "states_fw", "states_bw"),
}
"""Names for what a call gives together."""

_OPERATORS: Mapping[str, tuple[Callable[[Any, Any], Any], ast.operator]] = {
    "+": (operator.add, ast.Add()), "-": (operator.sub, ast.Sub()), "*": (operator.mul, ast.Mult()),
    "/": (operator.truediv, ast.Div()), "**": (operator.pow, ast.Pow()), "@": (operator.matmul, ast.MatMult()),
}  # fmt: skip
_COMPARISONS: Mapping[str, tuple[Callable[[Any, Any], Any], ast.cmpop]] = {
    "<": (operator.lt, ast.Lt()), "<=": (operator.le, ast.LtE()),
    ">": (operator.gt, ast.Gt()), ">=": (operator.ge, ast.GtE()),
}  # fmt: skip


@dataclass(frozen=True)
class Index:
    """The key of a step that takes an item."""

    index: tuple[Any, ...]

    def __hash__(self) -> int:  # slices have none of their own before Python 3.12
        return hash(repr(self.index))


@dataclass(eq=False)
class Step:
    """One expression: what it is made of, and the object that it gave."""

    thing: Any
    operands: Sequence[Any]
    keywords: Mapping[str, Any]
    written: Callable[[list[ast.expr], list[ast.keyword]], ast.expr]
    hint: Any = "x"
    is_call: bool = False
    make: Callable[..., Any] | None = None
    """What gives the thing, of the operands and keywords; None for what is declared once, such as an input."""
    key: Any = None
    """What the step does, whatever its operands are: steps of equal keys do the same."""
    fill: float | None = None
    """The number that is everywhere in what the step gives, if that is known."""
    defines: str = ""
    """The text of a class that the script must hold."""
    inner: Sequence[Step] = ()
    """The steps that stand in that text."""


@dataclass(frozen=True, eq=False)
class Value:
    """What a step gave, or a part of it. path: the indices or fields that lead from the whole to the part."""

    thing: Any
    step: Step
    path: tuple[int | str, ...] = ()

    @property
    def tensor(self) -> Tensor:
        """The Tensor. Only for values that are one."""
        assert isinstance(self.thing, Tensor), self.thing
        return self.thing

    def __iter__(self) -> Iterator[Value]:
        """The parts of a tuple or list; namedtuples give their fields."""
        names = getattr(self.thing, "_fields", range(len(self.thing)))
        for name, thing in zip(names, self.thing, strict=True):
            yield Value(thing, self.step, (*self.path, name))


@dataclass(frozen=True)
class Applied:
    """A function of one Tensor, ``lambda x: function(inner(x), *arguments)``, as an argument of a call."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    inner: Applied | None = None

    def __call__(self, x: Any) -> Any:
        return self.function(x if self.inner is None else self.inner(x), *self.arguments)

    def of(self, x: ast.expr) -> ast.expr:
        """Its body as an expression."""
        inside = x if self.inner is None else self.inner.of(x)
        return ast.Call(_attribute(_name(self.function)), [inside, *map(_literal, self.arguments)], [])


class Script:
    """A declaration in the making.

    inputs, outputs: by the names that the file has for them. parameters: arrays of the file by the names of the
    program's parameters.
    """

    def __init__(self, title: str) -> None:
        """title: the script's docstring."""
        self.title = title
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        self.parameters: dict[str, np.ndarray] = {}
        self.classes: dict[str, str] = {}
        """Text of classes of the script's own, by their names."""
        self._steps: list[Step] = []
        self._scopes: Counter[str] = Counter()

    # Declaring -----------------------------------------------------------------------------------

    def input(
        self, name: str, shape: Sequence[int | str | None], dtype: str = "float32", hint: str = "x"
    ) -> Value:  # fmt: skip
        """A placeholder. hint: what its variable is called."""
        options: dict[str, Any] = {} if dtype == "float32" else {"dtype": dtype}
        self.inputs[name] = self.call(placeholder, name, tuple(shape), **options, hint=hint)
        return self.inputs[name]

    def call(self, function: Callable[..., Any], *operands: Any, hint: Any = None, **keywords: Any) -> Value:
        """``function(*operands, **keywords)``: a public name of ``rg``, or a function or class of a reader, whose text
        the script holds. hint: names for what it gives.
        """
        name = _name(function)

        def written(arguments: list[ast.expr], named: list[ast.keyword]) -> ast.expr:
            return ast.Call(_attribute(name), arguments, named)

        thing = function(*map(_bare, operands), **{key: _bare(item) for key, item in keywords.items()})
        hint = hint or _UNPACKED.get(function, "x")
        return self._kept(Step(thing, operands, keywords, written, hint, True, function, function))

    def operation(self, sign: str, left: Any, right: Any) -> Value:
        """``left sign right``, of ``+ - * / ** @`` and ``< <= > >=``."""
        function: Callable[[Any, Any], Any]
        if sign in _COMPARISONS:
            function, compared = _COMPARISONS[sign]

            def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
                return ast.Compare(of[0], [compared], [of[1]])
        else:
            function, operator_written = _OPERATORS[sign]

            def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
                return ast.BinOp(of[0], operator_written, of[1])

        thing = function(_bare(left), _bare(right))
        return self._kept(Step(thing, (left, right), {}, written, make=function, key=sign))

    def negative(self, x: Value) -> Value:
        """``-x``."""

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.UnaryOp(ast.USub(), of[0])

        return self._kept(Step(-x.thing, (x,), {}, written, make=operator.neg, key="negative"))

    def item(self, x: Value, *index: Any) -> Value:
        """``x[index]``."""
        one_or_all = index if len(index) > 1 else index[0]
        subscript = _literal(one_or_all)

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.Subscript(of[0], subscript, ast.Load())

        return self._kept(
            Step(x.thing[one_or_all], (x,), {}, written, make=operator.itemgetter(one_or_all), key=Index(index))
        )

    def remade(self, step: Step, operands: Sequence[Any], keywords: Mapping[str, Any]) -> Value:
        """What ``step`` does, of other operands."""
        assert step.make is not None
        thing = step.make(*map(_bare, operands), **{key: _bare(item) for key, item in keywords.items()})
        return self._kept(replace(step, thing=thing, operands=operands, keywords=keywords))

    @property
    def steps(self) -> Sequence[Step]:
        """All steps so far."""
        return self._steps

    def kept(self, step: Step) -> Value:
        """What a step gives that was made elsewhere, as the script's next one."""
        return self._kept(step)

    def emptied(self) -> Script:
        """A script with the names and parameters of this one, and without its steps."""
        other = Script(self.title)
        other.parameters, other.classes = dict(self.parameters), dict(self.classes)
        other._scopes = self._scopes.copy()
        return other

    def scope(self, base: str) -> str:
        """A name for a layer that no other has: ``base``, then ``base_1`` and on."""
        count = self._scopes[base]
        self._scopes[base] += 1
        return f"{base}_{count}" if count else base

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        """The file's arrays for parameters under ``scope``."""
        self.parameters |= {f"{scope}/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}

    def drop_unused(self) -> None:
        """Forgets inputs and parameters that no output needs."""
        wanted = list(with_inner(wanted_steps(self._steps, self.outputs)))
        self.inputs = {name: value for name, value in self.inputs.items() if value.step in wanted}
        names = set(settle(topological(value.tensor.node for value in self.outputs.values()), {}).specs.values())
        self.parameters = {name: array for name, array in self.parameters.items() if name in names}

    def put_before_last(self, step: Step) -> None:
        """Adds a step that the last one reads."""
        self._steps.insert(len(self._steps) - 1, step)

    def _kept(self, step: Step) -> Value:
        self._steps.append(step)
        return Value(step.thing, step)

    # Writing -------------------------------------------------------------------------------------

    def text(self) -> str:
        """The script."""
        return Writer(self._steps, self.outputs).text(self.title, bool(self.parameters), self.classes)

    def body(self, result: Any, arguments: Sequence[str]) -> list[str]:
        """Lines of a function of ``arguments`` that makes these steps and returns ``result``, a nest of values."""
        outputs = {str(place): value for place, value in enumerate(_values(result))}
        writer = Writer(self._steps, outputs)
        writer.keep_names(arguments)
        statements = [line for text in writer.statements() for line in text.split("\n")]
        return [*statements, f"return {ast.unparse(writer.expression(result))}"]


def identifier(text: str) -> str:
    """A variable's name that is made of ``text``."""
    plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    if not plain or plain[0].isdigit():
        plain = f"x_{plain}" if plain else "x"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in _OURS else plain


def _bare(operand: Any) -> Any:
    """An operand as the function takes it."""
    if isinstance(operand, Value):
        return operand.thing
    if isinstance(operand, dict):
        return {key: _bare(item) for key, item in operand.items()}
    if type(operand) in (list, tuple):
        return type(operand)(map(_bare, operand))
    return operand


def _values(operand: Any) -> Iterator[Value]:
    """The values in an operand, however deep in lists."""
    if isinstance(operand, Value):
        yield operand
    elif isinstance(operand, dict):
        for item in operand.values():
            yield from _values(item)
    elif type(operand) in (list, tuple):
        for item in operand:
            yield from _values(item)


def _name(function: Any) -> str:
    """What scripts call a function or class."""
    return function.__name__ if is_own(function) else f"rg.{function.__name__}"


def _attribute(name: str) -> ast.expr:
    first, *others = name.split(".")
    found: ast.expr = ast.Name(first, ast.Load())
    for other in others:
        found = ast.Attribute(found, other, ast.Load())
    return found


def _literal(value: Any) -> ast.expr:
    """A number, text, slice, function of ``rg`` or list of such, as an expression."""
    if isinstance(value, slice):
        return ast.Slice(*(None if part is None else _literal(part) for part in (value.start, value.stop, value.step)))
    if type(value) in (list, tuple):
        kind = ast.List if isinstance(value, list) else ast.Tuple
        return kind([_literal(item) for item in value], ast.Load())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, Applied):
        x = ast.arg("x")
        return ast.Lambda(ast.arguments([], [x], None, [], [], None, []), value.of(ast.Name("x", ast.Load())))
    if value is None or value is ... or isinstance(value, bool | str):
        return ast.Constant(value)
    return _attribute(_name(value))


def _number(value: float) -> ast.expr:
    if value != value or value in (float("inf"), float("-inf")):
        return ast.Call(ast.Name("float", ast.Load()), [ast.Constant(str(value))], [])
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


Place = tuple[Step, tuple[int | str, ...]]
"""A step, and the path to a part of what it gave."""


def wanted_steps(steps: Sequence[Step], outputs: Mapping[str, Value]) -> set[Step]:
    """The steps that outputs need."""
    wanted = {value.step for value in outputs.values()}
    for step in reversed(steps):  # what reads a step stands behind it
        if step in wanted:
            wanted |= {value.step for value in values_read(step)}
    return wanted


def with_inner(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps, and those that stand in the texts of classes."""
    for step in steps:
        yield step
        yield from with_inner(step.inner)


class Writer:
    """Steps as statements. What is used once and short stands where it is used; all else gets a variable, whose name
    is free again behind its last use.
    """

    def __init__(
        self, steps: Sequence[Step], outputs: Mapping[str, Value], given: Mapping[Place, ast.expr] | None = None
    ) -> None:
        """given: expressions for values that no step of these makes."""
        self._outputs = outputs
        self._given = given or {}
        wanted = wanted_steps(steps, outputs)
        self._steps = [step for step in steps if step in wanted]
        self._reads: dict[Step, list[tuple[int | str, ...]]] = {step: [] for step in self._steps}
        self._last: dict[Step, int] = {}
        """Number of the last step that reads a step."""
        for number, step in enumerate(self._steps):
            for value in values_read(step):
                self._reads.setdefault(value.step, []).append(value.path)
                self._last[value.step] = number
        for value in outputs.values():
            self._reads.setdefault(value.step, []).append(value.path)
            self._last[value.step] = len(self._steps)
        self._inline: dict[Step, ast.expr] = {}
        self._variables: dict[Place, str] = {}
        self._taken: dict[str, Step] = {}

    def keep_names(self, names: Iterable[str]) -> None:
        """No variable gets one of these names."""
        for name in names:
            self._taken[name] = step = Step(None, (), {}, _nothing_written)
            self._last[step] = len(self._steps)

    def text(self, title: str, has_parameters: bool, classes: Mapping[str, str]) -> str:
        """classes: texts of the script's own by name, beside those that steps define."""
        lines = self.statements()
        compiled = ast.Call(_attribute("rg.compile"), [self.expression(dict(self._outputs))], [])
        lines += ["", _statement("program", compiled)]
        imports = ["import rnngraph as rg", ""]
        called = [item for step in with_inner(self._steps) for item in (step.key, *_functions(step))]
        own = Own(item for item in called if getattr(item, "__name__", None) not in classes)
        texts = [*classes.values(), *(step.defines for step in self._steps if step.defines)]
        defined = [line for text in texts for line in ("", text, "")]
        if has_parameters:
            imports = ["from pathlib import Path", "", *imports]
            lines.append(f"program.parameters.load(Path(__file__).with_name({WEIGHTS!r}))")
        return "\n".join([f'"""{title}"""', "", *imports, *own.text(), *defined, *lines, ""])

    def statements(self) -> list[str]:
        """A line, or several, for each step that has a variable."""
        lines = []
        for number, step in enumerate(self._steps):
            expression = step.written(
                [self.expression(item) for item in step.operands],
                [ast.keyword(name, self.expression(item)) for name, item in step.keywords.items()],
            )
            if self._stands_inline(step, expression):
                self._inline[step] = expression
                self._extend(step, self._last[step])
                continue
            self._taken = {name: holder for name, holder in self._taken.items() if self._last[holder] > number}
            lines.append(_statement(self._target(step, (), step.hint), expression))
        return lines

    def _stands_inline(self, step: Step, expression: ast.expr) -> bool:
        if len(self._reads[step]) != 1 or len(ast.unparse(expression)) > LONGEST_INLINE:
            return False
        return not step.is_call or isinstance(step.thing, Cell)

    def _extend(self, step: Step, last: int) -> None:
        """What an expression reads is needed until the expression itself is written."""
        for value in values_read(step):
            self._last[value.step] = max(self._last[value.step], last)
            if value.step in self._inline:
                self._extend(value.step, last)

    def expression(self, operand: Any) -> ast.expr:
        if isinstance(operand, Value):
            return self._reference(operand)
        if isinstance(operand, dict):
            return ast.Dict([_literal(key) for key in operand], [self.expression(item) for item in operand.values()])
        if type(operand) is tuple:
            return ast.Tuple([self.expression(item) for item in operand], ast.Load())
        if type(operand) is list:
            items = [self.expression(item) for item in operand]
            alike = len(items) > 1 and len({ast.unparse(item) for item in items}) == 1
            if alike and isinstance(items[0], ast.Call) and all(isinstance(_bare(item), Cell) for item in operand):
                count = ast.Call(ast.Name("range", ast.Load()), [ast.Constant(len(items))], [])
                return ast.ListComp(items[0], [ast.comprehension(ast.Name("_", ast.Store()), count, [], 0)])
            return ast.List(items, ast.Load())
        return _literal(operand)

    def _reference(self, value: Value) -> ast.expr:
        """The variable of the part, or of the nearest whole that has one and what leads from there to the part."""
        for cut in range(len(value.path), -1, -1):
            place = value.step, value.path[:cut]
            name = self._variables.get(place)
            if name is not None or place in self._given:
                return _part(self._given[place] if name is None else ast.Name(name, ast.Load()), value.path[cut:])
        if value.step not in self._inline:  # what was given has a name without a step
            return _part(value.step.written([], []), value.path)
        return _part(self._inline[value.step], value.path)

    def _target(self, step: Step, path: tuple[int | str, ...], hint: Any) -> str:
        """The left side of an assignment: a name, or names in the structure of what is given."""
        if not isinstance(hint, str):
            text = ", ".join(self._target(step, (*path, place), item) for place, item in enumerate(hint))
            return f"({text})" if path else text
        if not any(read[: len(path)] == path[: len(read)] for read in self._reads[step]):
            return "_"
        name, count = hint, 0
        while name in self._taken:
            count += 1
            name = f"{hint}_{count}"
        self._taken[name] = step
        self._variables[step, path] = name
        return name


def _nothing_written(operands: list[ast.expr], keywords: list[ast.keyword]) -> ast.expr:
    raise AssertionError("a step that only holds a name")


def _functions(step: Step) -> Iterator[Any]:
    """The functions among a step's arguments."""
    for operand in (*step.operands, *step.keywords.values()):
        while isinstance(operand, Applied):
            yield operand.function
            operand = operand.inner
        if callable(operand):
            yield operand


def values_read(step: Step) -> Iterator[Value]:
    """The values that a step reads."""
    for operand in (*step.operands, *step.keywords.values()):
        yield from _values(operand)


def _part(whole: ast.expr, path: Sequence[int | str]) -> ast.expr:
    for key in path:
        if isinstance(key, str):
            whole = ast.Attribute(whole, key, ast.Load())
        else:
            whole = ast.Subscript(whole, ast.Constant(key), ast.Load())
    return whole


def _statement(target: str, expression: ast.expr) -> str:
    """``target = expression``; where that is too long for a line, with an argument a line."""
    line = f"{target} = {ast.unparse(expression)}"
    if len(line) <= WIDEST or not isinstance(expression, ast.Call):
        return line
    parts = [*expression.args, *expression.keywords]
    inner = "".join(f"    {ast.unparse(part)},\n" for part in parts)
    return f"{target} = {ast.unparse(expression.func)}(\n{inner})"
