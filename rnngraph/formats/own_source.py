"""Functions and classes of readers that a script needs and rnngraph doesn't offer: their text, with public names."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable
from typing import Any

_PACKAGE = __name__.partition(".")[0]
_HERE = __name__.rpartition(".")[0]


def is_own(thing: Any) -> bool:
    """Whether it is a function or class of a reader."""
    return isinstance(getattr(thing, "__name__", None), str) and str(thing.__module__).startswith(f"{_HERE}.")


class Own:
    """What is written out of ``things``, and of what these need, each once."""

    def __init__(self, things: Iterable[Any]) -> None:
        self._texts: dict[str, str] = {}
        for thing in things:
            if is_own(thing):
                self._add(thing)

    def text(self) -> list[str]:
        """Lines of a script."""
        return [line for text in self._texts.values() for line in ("", text, "")] + ([""] if self._texts else [])

    def _add(self, thing: Any) -> None:
        if thing.__name__ in self._texts:
            return
        original = inspect.unwrap(thing)
        tree = ast.parse(textwrap.dedent(inspect.getsource(original)))
        names = vars(sys.modules[original.__module__])
        used = {node.id: names[node.id] for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in names}
        plain = _Plain({name for name, found in used.items() if _is_public(found)})
        for found in used.values():
            if is_own(found) and found is not thing:
                self._add(found)
        self._texts[thing.__name__] = ast.unparse(ast.fix_missing_locations(plain.visit(tree)))


def _is_public(found: Any) -> bool:
    return str(getattr(found, "__module__", "")).startswith(f"{_PACKAGE}.") and not is_own(found)


class _Plain(ast.NodeTransformer):
    """Writes public names as those of ``rg``, and leaves types out."""

    def __init__(self, public: set[str]) -> None:
        self._public = public

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in self._public:
            return node
        return ast.Attribute(ast.Name("rg", ast.Load()), node.id, node.ctx)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        return self.generic_visit(node)
