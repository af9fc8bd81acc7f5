"""Declarations that are made and written down at once: what a reader declares, and the script that says the same.

A reader calls public functions through ``Script.call``. Each call is made, so that the net exists, and kept as an
expression, so that ``text`` can write the script. Nothing of a file enters the script but as a literal of Python.
"""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..declare.parameters import ParameterSpec
from ..declare.placeholders import placeholder
from ..declare.public_types import dtype_word
from ..declare.running.drivers import (
    bidirectional_dynamic_rnn,
    dynamic_rnn,
    stack_bidirectional_dynamic_rnn,
    static_rnn,
)
from ..declare.tensor import Tensor
from ..ir.graph import topological
from ..passes.lowering.names import settle
from ..support.errors import read_from, user_line
from .expressions import attribute, literal, name_of
from .reading import not_readable
from .script_writer import Writer
from .steps import Index, Place, Step, Value, bare, values_in, wanted_steps, with_inner

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


class Script:
    """A declaration in the making.

    inputs, outputs: by the names that the file has for them. parameters: arrays of the file by the names of the
    program's parameters. replaced: names of those in whose place Tensors stand. closed_at: places that closed axes of
    inputs, by input and axis. unequal: places that take open sizes not to be a number, by size and number. narrow:
    options of ``rg.compile`` by which a program computes with the bits of a quantized file.
    """

    def __init__(self, title: str) -> None:
        """title: the script's docstring."""
        self.title = title
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        self.parameters: dict[str, np.ndarray] = {}
        self.replaced: set[str] = set()
        self.closed_at: dict[tuple[str, int], str] = {}
        self.unequal: dict[tuple[str, int], str] = {}
        self.narrow: dict[str, str] = {}
        self._steps: list[Step] = []
        self._scopes: Counter[str] = Counter()

    # Declaring -----------------------------------------------------------------------------------

    def input(
        self, name: str, shape: Sequence[int | str | None], dtype: str = "float32", hint: str = "x"
    ) -> Value:  # fmt: skip
        """A placeholder. hint: what its variable is called."""
        is_known = dtype == "float32" and dtype_word(name) is None
        options: dict[str, Any] = {} if is_known else {"dtype": dtype}
        self.inputs[name] = self.call(placeholder, name, tuple(shape), **options, hint=hint)
        return self.inputs[name]

    def call(self, function: Callable[..., Any], *operands: Any, hint: Any = None, **keywords: Any) -> Value:
        """``function(*operands, **keywords)``: a public name of ``rg``, or a function or class of a reader, whose text
        the script holds. hint: names for what it gives.
        """
        name = name_of(function)

        def written(arguments: list[ast.expr], named: list[ast.keyword]) -> ast.expr:
            return ast.Call(attribute(name), arguments, named)

        thing = function(*map(bare, operands), **{key: bare(item) for key, item in keywords.items()})
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

        thing = function(bare(left), bare(right))
        return self._kept(Step(thing, (left, right), {}, written, make=function, key=sign))

    def negative(self, x: Value) -> Value:
        """``-x``."""

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.UnaryOp(ast.USub(), of[0])

        return self._kept(Step(-x.thing, (x,), {}, written, make=operator.neg, key="negative"))

    def item(self, x: Value, *index: Any) -> Value:
        """``x[index]``."""
        one_or_all = index if len(index) > 1 else index[0]
        subscript = literal(one_or_all)

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.Subscript(of[0], subscript, ast.Load())

        return self._kept(
            Step(x.thing[one_or_all], (x,), {}, written, make=operator.itemgetter(one_or_all), key=Index(index))
        )

    def remade(self, step: Step, operands: Sequence[Any], keywords: Mapping[str, Any]) -> Value:
        """What ``step`` does, of other operands."""
        assert step.make is not None
        with read_from(step.where):
            thing = step.make(*map(bare, operands), **{key: bare(item) for key, item in keywords.items()})
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
        other.parameters = dict(self.parameters)
        other.replaced = set(self.replaced)
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

    def drop_unused_inputs(self) -> None:
        """Forgets inputs that no output needs."""
        wanted = set(with_inner(wanted_steps(self._steps, self.outputs)))
        self.inputs = {name: value for name, value in self.inputs.items() if value.step in wanted}

    def drop_unused_steps(self) -> None:
        """Forgets steps that no output needs, but for inputs."""
        wanted = wanted_steps(self._steps, self.outputs) | {value.step for value in self.inputs.values()}
        self._steps = [step for step in self._steps if step in wanted]

    def settle_parameters(self) -> None:
        """Keeps the parameters that outputs need, by the names that the program has for them. A shared cell's are named
        by its first use: by a later one, if no output needs that.
        """
        names = self.parameter_names()
        if set(names.values()) <= self.parameters.keys():
            wanted = set(names.values())
            self.parameters = {name: array for name, array in self.parameters.items() if name in wanted}
            return
        given = parameters_in(self)
        found, lost = {}, []
        for spec, name in names.items():
            known = self._known(given[spec])
            if known in self.parameters:
                found[name] = self.parameters[known]
            elif known not in self.replaced:
                lost.append(name)
        if lost:  # which would be drawn at random
            raise not_readable("the net", [f"no array is known for its parameter {name}" for name in lost])
        self.parameters = found

    def parameter_names(self) -> dict[ParameterSpec, str]:
        """Return the parameters that outputs need, with the names that a program has for them."""
        return _names(value.tensor for value in self.outputs.values())

    def _known(self, name: str) -> str:
        """The name that a reader gave to a parameter; of a driver within a step, without scopes of those around it."""
        while name not in self.parameters and name not in self.replaced and "/" in name:
            name = name.partition("/")[2]
        return name

    def put_before_last(self, step: Step) -> None:
        """Adds a step that the last one reads."""
        self._steps.insert(len(self._steps) - 1, step)

    def _kept(self, step: Step) -> Value:
        if step.where is None:
            step.where = step.thing.node.where if isinstance(step.thing, Tensor) else user_line()
        self._steps.append(step)
        return Value(step.thing, step)

    # Writing -------------------------------------------------------------------------------------

    def text(self) -> str:
        """The script."""
        return Writer(self._steps, self.outputs).text(self.title, bool(self.parameters))

    def body(self, result: Any, arguments: Sequence[str], given: Mapping[Place, ast.expr] | None = None) -> list[str]:
        """Lines of a function of ``arguments`` that makes these steps and returns ``result``, a nest of values.

        given: expressions for values that no step of these makes.
        """
        outputs = {str(place): value for place, value in enumerate(values_in(result))}
        writer = Writer(self._steps, outputs, given)
        writer.keep_names(arguments)
        statements = [line for text in writer.statements() for line in text.split("\n")]
        return [*statements, f"return {ast.unparse(writer.expression(result))}"]


def _names(tensors: Iterable[Tensor]) -> dict[ParameterSpec, str]:
    """Parameters that these need, and what a program of them calls each."""
    return settle(topological(tensor.node for tensor in tensors), {}).specs


def parameters_in(script: Script) -> dict[ParameterSpec, str]:
    """Return the parameters of all steps so far, in the order of declaration, with the names of a program of them."""
    return _names(tensor for step in script.steps for tensor in tensors_in(step.thing))


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """The Tensors that a step gave."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from tensors_in(part)
