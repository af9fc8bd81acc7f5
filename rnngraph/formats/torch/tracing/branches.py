"""``Branches``: computes both sides of a branch on values, and selects between the results by ``torch.where``.

A function that branches on values of a tensor is rewritten while the module is read. ``if test: y = a`` becomes two
local functions, one for each side, and ``test`` selects between the variables that they assign. A branch on a plain
Python value stays a branch.
"""

from __future__ import annotations

import ast
import copy
import gc
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FrameType, FunctionType
from typing import Any, TypeAlias

import torch

from .python_functions import codes_in
from .tensors import Memory, Traced
from .values import Filled

Variables: TypeAlias = dict[str, Any]
"""Local variables of the module's code, by name."""
HELPER = "_rnngraph_branches"
"""Global name by which rewritten functions call their ``Branches``, and prefix of names that rewriting adds."""
_ABSENT = object()
"""Sentinel for a variable that the running side of a branch has not assigned."""


class Branches:
    """Rewrites functions of one module, and provides the functions that the rewritten code calls.

    Attributes:
        problem: Function that records an error at the current line.
        first_new: Number of the first ``Memory`` that the running side allocated; None outside of branches.
    """

    ABSENT = _ABSENT
    locals = staticmethod(locals)

    def __init__(self) -> None:
        self.problem: Callable[[str], None] = lambda what: None
        self.first_new: int | None = None
        self._originals: list[tuple[FunctionType, CodeType]] = []
        self._tried: dict[int, CodeType] = {}
        """Code objects before and after rewriting, by id, so that none is rewritten twice."""

    # Rewriting ----------------------------------------------------------------------------------

    def rewrite(self, frame: FrameType | None) -> bool:
        """Rewrite the function that a frame runs. Return False if that is impossible, or was tried before."""
        if frame is None or id(frame.f_code) in self._tried:
            return False
        code = frame.f_code
        self._tried[id(code)] = code
        functions = [item for item in gc.get_referrers(code) if isinstance(item, FunctionType)]
        rewritten = _rewrite_code(functions[0]) if functions else None
        if rewritten is None:
            return False
        self._tried |= {id(part): part for part in codes_in(rewritten)}
        for function in functions:
            self._originals.append((function, code))
            function.__code__ = rewritten
            function.__globals__[HELPER] = self
        return True

    def reporting(self, problem: Callable[[str], None]) -> Branches:
        """Set the function that records errors, and return this object."""
        self.problem = problem
        return self

    def close(self) -> None:
        """Restore the original code of all rewritten functions."""
        for function, code in self._originals:
            function.__code__ = code
            function.__globals__.pop(HELPER, None)
        self._originals.clear()

    # Calls of rewritten functions ---------------------------------------------------------------

    def selects(self, test: object) -> bool:
        """True if a test is a tensor without a value, so that both sides must run."""
        return isinstance(test, Traced) and not isinstance(test.value, Filled)

    def item(self, test: Any) -> Any:
        """Return ``test.item()``; the test itself if it is a tensor without a value."""
        return test if self.selects(test) else test.item()

    def truth(self, test: Any) -> Any:
        """Return ``bool(test)``; the test itself if it is a tensor without a value."""
        return test if self.selects(test) else bool(test)

    def negated(self, test: Any) -> Any:
        """Return ``not test``, as a tensor if the test is a tensor without a value."""
        return torch.logical_not(test) if self.selects(test) else not test

    def joined(self, is_and: bool, *tests: Callable[[], Any]) -> Any:
        """Return the conjunction of tests if ``is_and``, else the disjunction, as a tensor if a test has no value.

        Args:
            tests: Functions that return a test. Tests after the deciding one are not evaluated.
        """
        result = tests[0]()
        for test in tests[1:]:
            if not self.selects(result) and bool(result) != is_and:
                return result
            one = test()
            if self.selects(result) or self.selects(one):
                function = torch.logical_and if is_and else torch.logical_or
                both = (item if isinstance(item, Traced) else torch.tensor(bool(item)) for item in (result, one))
                result = function(*both)
            else:
                result = one
        return result

    def chosen(self, test: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        """Return ``first() if test else second()``; a selection of both if the test is a tensor without a value."""
        if not self.selects(test):
            return first() if test else second()
        return self.select(test, self.run(first, (), {}), self.run(second, (), {}))

    def run(self, side: Callable[..., Any], names: Sequence[str], variables: Mapping[str, Any]) -> Any:
        """Run one side of a branch, and return its result.

        Args:
            side: Local function of the side.
            names: Variables that the side assigns.
            variables: Values of local variables before the branch.
        """
        outer, self.first_new = self.first_new, Memory.count if self.first_new is None else self.first_new
        try:
            return side(**{name: variables[name] for name in names if name in variables})
        finally:
            self.first_new = outer

    def variables(self, test: torch.Tensor, names: Sequence[str], first: Variables, second: Variables) -> list[Any]:
        """Return the values of variables after a branch, each selected from the values after both sides.

        Args:
            test: The test.
            names: Names of the variables.
            first: Variables after the side that runs if the test is true.
            second: Variables after the other side.
        """
        absent = _ABSENT
        return [self.select(test, first.get(name, absent), second.get(name, absent), name) for name in names]

    def select(self, test: torch.Tensor, a: Any, b: Any, name: str = "the result") -> Any:
        """Return ``a`` where the test is true, else ``b``.

        Lists, tuples and dicts of one structure are selected entry by entry. A value that only one side has is returned
        unchanged. If two values cannot be selected, record a problem and return ``a``.
        """
        if a is b or b is _ABSENT:
            return a
        if a is _ABSENT:
            return b
        if isinstance(a, list | tuple) and type(a) is type(b) and len(a) == len(b):
            parts = [self.select(test, *pair, name) for pair in zip(a, b, strict=True)]
            return type(a)(*parts) if hasattr(a, "_fields") else type(a)(parts)
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return {key: self.select(test, a[key], b[key], name) for key in a}
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return self._where(test, a, b, name)
        if isinstance(a, torch.Tensor | float) and isinstance(b, torch.Tensor | float):
            return torch.where(_scalar(test), a, b)
        if type(a) is type(b) and not isinstance(a, list | tuple | dict) and a == b:
            return a
        self.problem(
            f"{name} becomes {_text(a)} or {_text(b)}, depending on values of a tensor; let both branches compute "
            "tensors of one shape"
        )
        return a

    def _where(self, test: torch.Tensor, a: torch.Tensor, b: torch.Tensor, name: str) -> torch.Tensor:
        """Return ``torch.where(test, a, b)``. Record a problem if the shapes or dtypes of a and b differ."""
        if tuple(map(int, a.shape)) == tuple(map(int, b.shape)) and a.dtype == b.dtype:
            return torch.where(_scalar(test), a, b)
        self.problem(
            f"{name} becomes {_text(a)} or {_text(b)}, depending on values of a tensor; let both branches compute "
            "tensors of one shape and dtype"
        )
        return a


def _scalar(test: torch.Tensor) -> torch.Tensor:
    """Return a test as a bool scalar."""
    test = test if test.dtype == torch.bool else test != 0
    return test.reshape(()) if test.dim() else test


def _text(item: object) -> str:
    if isinstance(item, torch.Tensor):
        return f"a {str(item.dtype).removeprefix('torch.')} of shape {[*map(int, item.shape)]}"
    return repr(item)


# Source ---------------------------------------------------------------------------------------------

_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.For, ast.Pass, ast.Return)
"""Statements that a side may contain. Other statements may change more than variables, which forbids running both."""
_REFUSED = (ast.Yield, ast.YieldFrom, ast.Await, ast.NamedExpr, ast.Break, ast.Continue)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def _rewrite_code(function: FunctionType) -> CodeType | None:
    """Return a function's code with selections in place of branches on values; None if it can't be rewritten."""
    code = function.__code__
    try:
        lines, start = inspect.getsourcelines(code)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    (declared,) = tree.body if len(tree.body) == 1 else (None,)
    if not isinstance(declared, ast.FunctionDef) or declared.name != code.co_name or _has_private_names(declared):
        return None
    ast.increment_lineno(tree, start - 1)
    declared.decorator_list = []
    writer = _Writer()
    declared.body = writer.block(declared.body, is_tail=True)
    if not writer.has_written:
        return None
    outer = ast.parse("def outer():\n    pass")
    enclosing = outer.body[0]
    assert isinstance(enclosing, ast.FunctionDef)
    free = [ast.parse(f"{name} = None").body[0] for name in code.co_freevars]
    enclosing.body = [*free, declared]
    whole = compile(ast.fix_missing_locations(outer), code.co_filename, "exec")
    own = [part for part in codes_in(whole) if part.co_name == code.co_name and part.co_firstlineno >= start]
    return own[0] if own and own[0].co_freevars == code.co_freevars else None


def _has_private_names(tree: ast.AST) -> bool:
    """True if a function has names that Python mangles within a class."""
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree))
    return any(isinstance(name, str) and name.startswith("__") and not name.endswith("__") for name in names)


class _Writer:
    """Writer of the statements of one function.

    Attributes:
        has_written: True once a branch became a selection.
    """

    def __init__(self) -> None:
        self.has_written, self._count = False, 0

    def block(self, statements: Sequence[ast.stmt], is_tail: bool = False) -> list[ast.stmt]:
        """Return statements in which selections replace branches. If ``is_tail``, the function returns after them."""
        written: list[ast.stmt] = []
        for place, statement in enumerate(statements):
            if isinstance(statement, ast.If):
                sides, rest = (statement.body, statement.orelse), list(statements[place + 1 :])
                if is_tail and any(map(_returns, sides)):
                    body, orelse = (list(side) if _always_returns(side) else [*side, *rest] for side in sides)
                    if all(map(_always_returns, (body, orelse))) and all(map(_is_simple, (body, orelse))):
                        return [*written, *self._branch(statement, body, orelse, is_tail=True)]
                elif not any(map(_returns, sides)) and all(map(_is_simple, sides)):
                    written += self._branch(statement, statement.body, statement.orelse)
                    continue
            written.append(self._nested(statement))
        return written

    def _nested(self, statement: ast.stmt) -> ast.stmt:
        """Rewrite the blocks in a statement other than ``if``, and its conditional expressions."""
        if isinstance(statement, _SCOPES):
            return statement
        for name in ("body", "orelse", "finalbody"):
            if inner := getattr(statement, name, None):
                setattr(statement, name, self.block(inner))
        for handler in getattr(statement, "handlers", ()):
            handler.body = self.block(handler.body)
        return _Choices(self).visit(statement) if not hasattr(statement, "body") else statement

    def _branch(
        self, statement: ast.If, body: list[ast.stmt], orelse: list[ast.stmt], is_tail: bool = False
    ) -> list[ast.stmt]:
        """Return the statements that replace an ``if``: they run one branch, or both if the test has no value."""
        self.has_written = True
        self._count += 1
        test, *sides = (f"{HELPER}_{word}_{self._count}" for word in ("test", "a", "b"))
        names = sorted({*_assigned_names(body), *_assigned_names(orelse)})
        parameters = f"*, {', '.join(f'{name}={HELPER}.ABSENT' for name in names)}" if names else ""
        calls = ", ".join(f"{HELPER}.run({side}, {tuple(names)!r}, {{**{HELPER}.locals()}})" for side in sides)
        result = f"return {HELPER}.select({test}, {calls})"
        if not is_tail:
            targets = "".join(f"{name}, " for name in names)
            result = f"{f'({targets}) = ' if names else ''}{HELPER}.variables({test}, {tuple(names)!r}, {calls})"
        text = f"""
{test} = None
if {HELPER}.selects({test}):
    def {sides[0]}({parameters}):
        pass
    def {sides[1]}({parameters}):
        pass
    {result}
elif {test}:
    pass
else:
    pass
"""
        assign, choice = (_at_line_of(part, statement) for part in ast.parse(text).body)
        assert isinstance(assign, ast.Assign)
        assert isinstance(choice, ast.If)
        assert isinstance(choice.orelse[0], ast.If)
        assign.value = _Test().visit(statement.test)
        for place, side in enumerate((body, orelse)):
            inner = choice.body[place]
            assert isinstance(inner, ast.FunctionDef)
            inner.body = self.block(_copied(side), is_tail)
            if not is_tail:
                inner.body.append(_at_line_of(ast.parse(f"return {HELPER}.locals()").body[0], statement))
        choice.orelse[0].body = self.block(_copied(body), is_tail) or [ast.Pass()]
        choice.orelse[0].orelse = self.block(_copied(orelse), is_tail)
        return [assign, choice]


class _Test(ast.NodeTransformer):
    """Replaces ``not``, ``and``, ``or``, ``bool()`` and ``.item()`` in a test by calls that accept traced tensors."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "item" and not node.args:
            return _call("item", [node.func.value], node)
        is_bool = isinstance(node.func, ast.Name) and node.func.id == "bool" and len(node.args) == 1
        return _call("truth", node.args, node) if is_bool else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return _call("negated", [node.operand], node) if isinstance(node.op, ast.Not) else node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if _is_bound_to_its_function(node):
            return node
        lambdas = [_lambda(value) for value in node.values]
        return _call("joined", [ast.Constant(isinstance(node.op, ast.And)), *lambdas], node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node


class _Choices(ast.NodeTransformer):
    """Replaces ``a if test else b`` by a call that can select between both."""

    def __init__(self, writer: _Writer) -> None:
        self.writer = writer

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        if _is_bound_to_its_function(node):
            return node
        self.writer.has_written = True
        return _call("chosen", [_Test().visit(node.test), _lambda(node.body), _lambda(node.orelse)], node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return node


def _is_bound_to_its_function(expression: ast.expr) -> bool:
    """True if an expression can't be moved into a lambda, because it has ``yield``, ``await`` or an assignment."""
    return any(isinstance(node, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Await) for node in ast.walk(expression))


def _call(method: str, arguments: list[ast.expr], like: ast.expr) -> ast.expr:
    function = ast.Attribute(ast.Name(HELPER, ast.Load()), method, ast.Load())
    return ast.fix_missing_locations(ast.copy_location(ast.Call(function, arguments, []), like))


def _lambda(value: ast.expr) -> ast.expr:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.copy_location(ast.Lambda(none, value), value)


def _at_line_of(part: ast.stmt, at: ast.stmt) -> ast.stmt:
    """Return a statement whose nodes all get the source line of another statement."""
    for node in ast.walk(part):
        if hasattr(node, "lineno"):
            ast.copy_location(node, at)
    return part


def _copied(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    return copy.deepcopy(list(statements))


def _returns(statements: Sequence[ast.stmt]) -> bool:
    """True if one of the statements may return from the function."""
    return any(isinstance(node, ast.Return) for node in _nodes(statements))


def _always_returns(statements: Sequence[ast.stmt]) -> bool:
    if not statements:
        return False
    last = statements[-1]
    both = isinstance(last, ast.If) and _always_returns(last.body) and _always_returns(last.orelse)
    return isinstance(last, ast.Return) or both


def _is_simple(statements: Sequence[ast.stmt]) -> bool:
    """True if statements change nothing but variables, so that both sides of a branch may run."""
    for node in _nodes(statements):
        if isinstance(node, ast.stmt) and not isinstance(node, _SIMPLE):
            return False
        if isinstance(node, _REFUSED) or (isinstance(node, ast.Name) and node.id == "super"):
            return False
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.stmt) and not all(target is None or _names(target) for target in targets):
            return False
    return True


def _names(target: ast.expr) -> list[str]:
    """Return the variables that an assignment's target names; [] if it also writes to attributes or entries."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Tuple | ast.List):
        parts = [_names(part) for part in target.elts]
        return [name for part in parts for name in part] if all(parts) else []
    return []


def _assigned_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Return the variables that statements assign."""
    return {node.id for node in _nodes(statements) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _nodes(statements: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the nodes of statements, without those of functions, classes and comprehensions within them."""
    for statement in statements:
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            yield node
            if not isinstance(node, (*_SCOPES, *_COMPREHENSIONS)):
                waiting += ast.iter_child_nodes(node)
