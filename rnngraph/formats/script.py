"""Declares a net, and records the declaration as a Python script.

A reader calls public functions through ``Script.call``. Each call is executed, and recorded as an expression from which
``text`` writes the script. Data of a file enters a script as Python literals only.
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
from ..storage.stored_array import StoredArray
from ..support.errors import read_from, user_line
from .expressions import attribute, literal, name_of
from .reading import not_readable
from .script_writer import Writer
from .steps import Function, Index, Place, Step, Value, unwrap, values_in, wanted_steps, with_inner

_UNPACKED: Mapping[Function, Any] = {
    dynamic_rnn: ("outputs", "state"),
    static_rnn: ("outputs", "state"),
    bidirectional_dynamic_rnn: (("outputs_fw", "outputs_bw"), ("state_fw", "state_bw")),
    stack_bidirectional_dynamic_rnn: ("outputs", "states_fw", "states_bw"),
}
"""{function with several results: names of the variables that get them}."""

_OPERATORS: Mapping[str, tuple[Callable[[Any, Any], Any], ast.operator]] = {
    "+": (operator.add, ast.Add()),
    "-": (operator.sub, ast.Sub()),
    "*": (operator.mul, ast.Mult()),
    "/": (operator.truediv, ast.Div()),
    "**": (operator.pow, ast.Pow()),
    "@": (operator.matmul, ast.MatMult()),
}
_COMPARISONS: Mapping[str, tuple[Callable[[Any, Any], Any], ast.cmpop]] = {
    "<": (operator.lt, ast.Lt()),
    "<=": (operator.le, ast.LtE()),
    ">": (operator.gt, ast.Gt()),
    ">=": (operator.ge, ast.GtE()),
}


class Script:
    """Declaration of a net under construction: the calls so far, and their results.

    Attributes:
        inputs: Inputs by the file's names.
        outputs: Outputs by the file's names.
        parameters: The file's arrays, by the names of the program's parameters.
        replaced: Names of parameters that computed Tensors replace.
        closed_at: Text that says what fixed the size of an input's axis, by (input, axis): a line, ``fixed=`` or
            ``the file``.
        unequal: Line or node that assumes that a symbolic size differs from a number, by (size, number).
        limits: (minimum, maximum or None, line that compares the size), by symbolic size. Calls check the limits.
        has_formulas: True if a formula of the step's index replaced numbers that differ between the steps of a loop.
        narrow: Options of ``rg.compile`` with which the program of a quantized file stays quantized.
    """

    def __init__(self, title: str) -> None:
        """Create a script without calls.

        Args:
            title: Docstring of the script.
        """
        self.title = title
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        self.parameters: dict[str, np.ndarray | StoredArray] = {}
        self.replaced: set[str] = set()
        self.closed_at: dict[tuple[str, int], str] = {}
        self.unequal: dict[tuple[str, int], str] = {}
        self.limits: dict[str, tuple[int, int | None, str]] = {}
        self.has_formulas = False
        self.narrow: dict[str, str | dict[str, str]] = {}
        self._steps: list[Step] = []
        self._scopes: Counter[str] = Counter()

    # Declaring -----------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int | str | None], dtype: str = "float32", hint: str = "x") -> Value:
        """Declare a placeholder as an input of the net.

        Args:
            name: The file's name of the input.
            shape: Numbers, names of symbolic sizes, or None for unnamed symbolic sizes.
            hint: Preferred name of the variable in the script.
        """
        is_known = dtype == "float32" and dtype_word(name) is None
        options: dict[str, object] = {} if is_known else {"dtype": dtype}
        self.inputs[name] = self.call(placeholder, name, tuple(shape), **options, hint=hint)
        return self.inputs[name]

    def call(self, function: Function, *operands: Any, hint: Any = None, **keywords: Any) -> Value:
        """Call a public function of ``rg``, or a reader's function or class, whose source the script will contain.

        Args:
            hint: Preferred variable name of the result, or a nest of names for a nest of results.
        """
        name = name_of(function)

        def written(arguments: list[ast.expr], named: list[ast.keyword]) -> ast.expr:
            return ast.Call(attribute(name), arguments, named)

        result = function(*map(unwrap, operands), **{key: unwrap(item) for key, item in keywords.items()})
        hint = hint or _UNPACKED.get(function, "x")
        return self.add(Step(result, operands, keywords, written, hint, True, function, function))

    def operation(self, sign: str, left: Any, right: Any) -> Value:
        """Declare ``left sign right``.

        Args:
            sign: One of ``+ - * / ** @`` and ``< <= > >=``.
        """
        function: Callable[[Any, Any], Any]
        if sign in _COMPARISONS:
            function, compared = _COMPARISONS[sign]

            def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
                return ast.Compare(of[0], [compared], [of[1]])
        else:
            function, operator_written = _OPERATORS[sign]

            def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
                return ast.BinOp(of[0], operator_written, of[1])

        result = function(unwrap(left), unwrap(right))
        return self.add(Step(result, (left, right), {}, written, make=function, key=sign))

    def negative(self, x: Value) -> Value:
        """Declare ``-x``."""

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.UnaryOp(ast.USub(), of[0])

        return self.add(Step(-x.result, (x,), {}, written, make=operator.neg, key="negative"))

    def item(self, x: Value, *index: Any) -> Value:
        """Declare ``x[index]``."""
        one_or_all = index if len(index) > 1 else index[0]
        subscript = literal(one_or_all)

        def written(of: list[ast.expr], _: list[ast.keyword]) -> ast.expr:
            return ast.Subscript(of[0], subscript, ast.Load())

        return self.add(
            Step(x.result[one_or_all], (x,), {}, written, make=operator.itemgetter(one_or_all), key=Index(index))
        )

    def repeat(self, step: Step, operands: Sequence[Any], keywords: Mapping[str, Any]) -> Value:
        """Declare the operation of ``step`` with other operands, and return its result."""
        assert step.make is not None
        with read_from(step.where):
            result = step.make(*map(unwrap, operands), **{key: unwrap(item) for key, item in keywords.items()})
        return self.add(replace(step, result=result, operands=operands, keywords=keywords, is_stand_in=False))

    @property
    def steps(self) -> Sequence[Step]:
        """Steps in the order of declaration."""
        return self._steps

    def without_steps(self) -> Script:
        """Return a new script without steps that has copies of this script's parameters and used names."""
        other = Script(self.title)
        other.parameters = dict(self.parameters)
        other.replaced = set(self.replaced)
        other.has_formulas = self.has_formulas
        other._scopes = self._scopes.copy()
        return other

    def scope(self, base: str) -> str:
        """Return an unused name for a layer's scope: ``base``, then ``base_1``, ``base_2`` …"""
        count = self._scopes[base]
        self._scopes[base] += 1
        return f"{base}_{count}" if count else base

    def own(self, scope: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Record the file's arrays {name: array} as the parameters ``scope/name``."""
        self.parameters |= {f"{scope}/{name}": np.ascontiguousarray(array) for name, array in arrays.items()}

    def drop_unused_inputs(self) -> None:
        """Remove inputs that no output needs."""
        wanted = set(with_inner(wanted_steps(self._steps, self.outputs)))
        self.inputs = {name: value for name, value in self.inputs.items() if value.step in wanted}

    def drop_unused_steps(self) -> None:
        """Remove steps that no output needs, except inputs."""
        wanted = wanted_steps(self._steps, self.outputs) | {value.step for value in self.inputs.values()}
        self._steps = [step for step in self._steps if step in wanted]

    def settle_parameters(self) -> None:
        """Drop the parameters that no output needs, and rename the others to their names in a program.

        The first use of a shared cell that an output needs names its parameters. Raise ``NotReadableError`` if a
        parameter has no array.
        """
        names = self.parameter_names()
        if set(names.values()) <= self.parameters.keys():
            wanted = set(names.values())
            self.parameters = {name: array for name, array in self.parameters.items() if name in wanted}
            return
        declared = parameters_in(self)
        arrays, missing = {}, []
        for spec, name in names.items():
            known = self._stored_name(declared[spec])
            if known in self.parameters:
                arrays[name] = self.parameters[known]
            elif known not in self.replaced:
                missing.append(name)
        if missing:  # Parameters without an array would be initialized randomly.
            raise not_readable("the net", [f"the file has no array for the parameter {name}" for name in missing])
        self.parameters = arrays

    def parameter_names(self) -> dict[ParameterSpec, str]:
        """Return {parameter: its name in a program} for the parameters that outputs need."""
        return _names(value.tensor for value in self.outputs.values())

    def _stored_name(self, name: str) -> str:
        """Return the key of a parameter in ``parameters``: the name without the scopes of enclosing drivers."""
        while name not in self.parameters and name not in self.replaced and "/" in name:
            name = name.partition("/")[2]
        return name

    def put_before_last(self, step: Step) -> None:
        """Insert a step before the last step, which reads the inserted step."""
        self._steps.insert(len(self._steps) - 1, step)

    def add(self, step: Step) -> Value:
        """Append a step, and return the step's result."""
        if step.where is None:
            step.where = step.result.node.where if isinstance(step.result, Tensor) else user_line()
        self._steps.append(step)
        return Value(step.result, step)

    # Writing -------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the source of the script."""
        return Writer(self._steps, self.outputs).text(self.title, bool(self.parameters), self.narrow)

    def body(self, result: Any, arguments: Sequence[str], known: Mapping[Place, ast.expr] | None = None) -> list[str]:
        """Return the lines of a function body that computes the steps and returns ``result``.

        Args:
            result: A value, or a nest of values.
            arguments: Names of the function's arguments, which no variable may have.
            known: Expressions for values that steps of other scripts compute.
        """
        outputs = {str(place): value for place, value in enumerate(values_in(result))}
        writer = Writer(self._steps, outputs, known)
        writer.keep_names(arguments)
        statements = [line for text in writer.statements() for line in text.split("\n")]
        return [*statements, f"return {ast.unparse(writer.expression(result))}"]


def _names(tensors: Iterable[Tensor]) -> dict[ParameterSpec, str]:
    """Return {parameter: its name in a program} for the parameters on which Tensors depend."""
    return settle(topological(tensor.node for tensor in tensors), {}).specs


def parameters_in(script: Script) -> dict[ParameterSpec, str]:
    """Return {parameter: its name in a program} for the parameters of all steps, in the order of declaration."""
    return _names(tensor for step in script.steps for tensor in tensors_in(step.result))


def tensors_in(result: object) -> Iterator[Tensor]:
    """Yield the Tensors in a step's result, which may be nested."""
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, list | tuple):
        for part in result:
            yield from tensors_in(part)
