"""List the places in the sources that do not mention a new elementwise op yet: ``python tools/new_op.py sech``.

A place is a file and a name defined in it, whose definition must contain the op's name. The command reads text and
imports nothing of the package, so it works while the op is only partly written. It exits with 1 if the op is missing
from a place. Places that only some ops need are listed last, with the condition.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = "rnngraph/ir/elementwise_ops.py"
INSTRUCTION, DIVISION, FUNCTION = "INSTRUCTION", "DIVISION", "FUNCTION"
"""Names of costs in an op's row, of which the cost is the sixth argument."""
VECTOR_TESTS = "tests/codegen/llvm/test_vecmath.py"
READ = r"\w\.{op}\b"
"""Pattern of a function of ``declare`` in a reader's table, such as ``basic.atan``."""


@dataclass(frozen=True)
class Place:
    """Place in the sources that must mention an op.

    Attributes:
        path: The file, from the root of the checkout.
        name: The assignment or function in the file; ``""`` for the whole file.
        instruction: What to write there.
        costs: Costs of the ops that need the place, as their rows name them.
        pattern: Regular expression that the place must match, in which ``{op}`` is the op's name.
        condition: When an op needs the place; ``""`` for always.
        is_unary: True if only ops of one operand need the place.
    """

    path: str
    name: str
    instruction: str
    costs: tuple[str, ...] = (INSTRUCTION, DIVISION, FUNCTION)
    pattern: str = r"\b{op}\b"
    condition: str = ""
    is_unary: bool = False

    def __str__(self) -> str:
        where = f"{self.path}, {self.name}" if self.name else self.path
        return f"{where}: {self.instruction}" + (f" (if {self.condition})" if self.condition else "")

    def knows(self, op: str) -> bool:
        """True if the code of this place mentions the op."""
        return re.search(self.pattern.format(op=re.escape(op)), code_of(self.path, self.name)) is not None


PLACES = (
    Place(ROWS, "", "a row; say in which operands the op is linear, if in any", pattern=r'elementwise\(\s*"{op}"'),
    Place("rnngraph/ir/derivatives.py", "", "the derivative", (DIVISION, FUNCTION), r"(?m)^{op} = |^def {op}\("),
    Place("rnngraph/codegen/llvm/vecmath.py", "FUNCTIONS", "the vector function", (FUNCTION,)),
    Place("rnngraph/codegen/llvm/vecmath.py", "ERROR_BOUNDS", "a bound for each dtype, in ulp", (FUNCTION,)),
    Place("rnngraph/codegen/llvm/elementwise.py", "", "a case of `emit`", (INSTRUCTION, DIVISION)),
    Place("rnngraph/__init__.py", "__all__", "the public name", (FUNCTION,)),
    Place("docs/api.md", "", "the public name in the table of functions", (FUNCTION,)),
    Place("docs/reference/functions.md", "", "the public name and a use", (FUNCTION,)),
    Place("rnngraph/formats/onnx/writing/operators.py", "EXPRESSIONS", "ONNX's operator, or several"),
    Place(VECTOR_TESTS, "SPECIAL_VALUES", "values at -inf, -1, -0, 0 and inf", (FUNCTION,), is_unary=True),
    Place("tests/ir/test_interpreter.py", "OPERANDS", "operands of the op"),
    Place("tests/helpers/hostile_graphs.py", "", "the op in UNARY or BINARY"),
    Place("tests/test_gradients.py", "", "a case in OPS, compared with central differences", (FUNCTION,)),
    Place("tests/helpers/declarations.py", "", "the function in UNARY, so that random nets draw it", (FUNCTION,)),
    Place(
        "tests/helpers/cross_cases.py", "_heads", "the function, so that it is compiled for every target", (FUNCTION,)
    ),
    Place("rnngraph/formats/rolling/elementwise.py", "ELEMENTWISE", "the function", (FUNCTION,), is_unary=True),
    Place(
        "rnngraph/formats/rolling/elementwise.py",
        "ELEMENTWISE_BINARY",
        "the function",
        condition="it takes two operands",
    ),
    Place("rnngraph/support/numpy_names.py", "NUMPY", "NumPy's name", condition="NumPy has the function"),
    Place("rnngraph/tf1/table/names.txt", "", "TensorFlow's name", condition="TensorFlow 1.x has the function"),
    Place(
        "rnngraph/formats/onnx/ops/elementwise.py",
        "",
        "ONNX's operator",
        pattern=READ,
        condition="ONNX has the function",
    ),
    Place("rnngraph/formats/keras/operations.py", "", "Keras's name", pattern=READ, condition="Keras has the function"),
    Place(
        "rnngraph/formats/torch/functions/elementwise.py",
        "",
        "torch's name",
        pattern=READ,
        condition="torch has the function",
    ),
    Place(VECTOR_TESTS, "reference", "a reference", (FUNCTION,), condition="NumPy has no such name", is_unary=True),
    Place(
        VECTOR_TESTS,
        "test_float64_samples",
        "a reference",
        (FUNCTION,),
        condition="mpmath has no such name",
        is_unary=True,
    ),
    Place(VECTOR_TESTS, "ODD", "the op", (FUNCTION,), condition="it is odd", is_unary=True),
    Place(
        VECTOR_TESTS,
        "float64_samples",
        "a range",
        (FUNCTION,),
        condition="results elsewhere are not finite",
        is_unary=True,
    ),
    Place(
        VECTOR_TESTS,
        "test_the_code_calls_no_functions",
        "the op",
        (FUNCTION,),
        condition="its code divides",
        is_unary=True,
    ),
)


@cache
def _tree(path: str) -> tuple[str, ast.Module | None]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return text, ast.parse(text) if path.endswith(".py") else None


def code_of(path: str, name: str) -> str:
    """Return the source of a top-level assignment or function; of the whole file for ``""``."""
    text, tree = _tree(path)
    if not name:
        return text
    assert tree is not None
    for statement in tree.body:
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else getattr(statement, "targets", [])
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        if name in names or getattr(statement, "name", "") == name:
            return ast.get_source_segment(text, statement) or ""
    raise LookupError(f"{path} defines no {name}; correct PLACES in {Path(__file__).name}")


@cache
def rows() -> dict[str, tuple[int, str]]:
    """Return {elementwise op: (number of operands, name of the cost)}, from the text of the rows."""
    _, tree = _tree(ROWS)
    assert tree is not None
    by_text = {}
    for statement in tree.body:
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "elementwise":
            name, arity, cost = call.args[0], call.args[1], call.args[5]
            assert isinstance(name, ast.Constant), ast.dump(name)
            assert isinstance(arity, ast.Constant), ast.dump(arity)
            assert isinstance(cost, ast.Name), ast.dump(cost)
            by_text[str(name.value)] = (int(str(arity.value)), cost.id)
    return by_text


def missing(op: str, conditional: bool = False) -> Iterator[Place]:
    """Yield the places that do not mention an op: places with a condition if ``conditional``, else the others."""
    arity, cost = rows().get(op, (1, FUNCTION))  # an op without a row is assumed to be a vector function of one operand
    for place in PLACES:
        if place.is_unary and arity != 1:
            continue
        if cost in place.costs and bool(place.condition) == conditional and not place.knows(op):
            yield place


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not re.fullmatch(r"[a-z_][a-z0-9_]*", arguments[0]):
        print("usage: python tools/new_op.py OP, such as sech", file=sys.stderr)
        return 2
    (op,) = arguments
    lacking = [*missing(op)]
    print(f"{op}: {len(lacking)} places are missing" if lacking else f"{op}: no place is missing")
    for place in lacking:
        print(f"  {place}")
    for place in missing(op, conditional=True):
        print(f"  perhaps {place}")
    return bool(lacking)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
