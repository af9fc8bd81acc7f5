"""Runs selected classes of a package's source file, so that the packages it imports are not needed."""

from __future__ import annotations
import __future__

import ast
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def definitions(path: Path, *names: str, **known: Any) -> dict[str, Any]:
    """Define the named classes of a file of torch modules, and return them by name. Tracebacks show the file's lines.

    Args:
        path: The file, of a release with a pinned digest.
        names: Names of classes, in the order of the file.
        known: Values of other names that the classes read.
    """
    import torch
    import torch.nn.functional

    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name in names]
    if [node.name for node in nodes] != [*names]:
        raise ValueError(f"{path} defines {[node.name for node in nodes]}, not {[*names]}")
    code = compile(ast.Module(nodes, []), str(path), "exec", __future__.annotations.compiler_flag, True)
    scope: dict[str, Any] = {
        "__name__": __name__,  # dataclasses look it up
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "dataclass": dataclass,
        "field": field,
        **known,
    }
    exec(code, scope)
    return scope
