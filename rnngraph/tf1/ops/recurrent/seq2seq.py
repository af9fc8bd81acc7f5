"""Attention under the names of ``tf.contrib.seq2seq``, with TensorFlow 1.15's arguments."""

from __future__ import annotations

from typing import Any

from ....declare.cell import Scope
from ....declare.parameters import ScopeName
from ....declare.seq2seq import attention
from ....declare.tensor import Tensor
from ....support.api_guard import api, taking
from ....support.errors import DtypeError, NotOfferedError, ShapeError, shown
from ...cells.calls import within_step
from ...core.dtypes import dtype_name, refuse
from ...core.graph import get_default_graph
from ...core.scopes import layer_scope
from ...core.tensors import as_tensorflow
from ..regularizers import penalize_all
from .cells import CellWithSignature
from .signatures import constructor

_OWN = "write a subclass of rg.Wrapper that attends as you want"


class _Mechanism:
    """Base of both attention mechanisms, with TensorFlow's arguments and variable scope."""

    keys: Tensor
    _scope: ScopeName

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__init__ = constructor(cls)  # type: ignore[method-assign]  # the table replaces the constructor

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        raise NotImplementedError  # __init_subclass__ replaces the constructor

    def memory_scope(self, where: Any) -> ScopeName:
        self._scope = layer_scope("memory_layer", None)
        return self._scope

    def adapt(self, arguments: dict[str, Any]) -> None:
        """Do nothing, because TensorFlow's and rnngraph's classes have the same arguments."""

    def take(self, arguments: dict[str, Any]) -> None:
        """Raise an error for arguments that rnngraph's attention lacks, and for a dtype other than the memory's.

        The argument ``name`` has no effect, as in TensorFlow, where it only names operations.
        """
        get_default_graph().own(self.keys)
        penalize_all(self._scope)
        dtype = arguments.pop("dtype")
        refuse(self, _OWN, **{name: value for name, value in arguments.items() if name != "name"})
        if dtype is not None and dtype_name(dtype) != self.keys.dtype:
            raise NotOfferedError(
                f"dtype={dtype_name(dtype)} differs from the memory's dtype, {self.keys.dtype}; leave out dtype="
            )


@api
class BahdanauAttention(_Mechanism, attention.BahdanauAttention):
    """``rg.BahdanauAttention`` with TensorFlow's arguments."""


@api
class LuongAttention(_Mechanism, attention.LuongAttention):
    """``rg.LuongAttention`` with TensorFlow's arguments."""


class AttentionWrapper(CellWithSignature, attention.AttentionWrapper):
    """``rg.AttentionWrapper`` with TensorFlow's arguments.

    ``name`` replaces ``attention_wrapper`` in variable names. ``dtype`` has no effect: states have the dtype of inputs.
    """

    def adapt(self, arguments: dict[str, Any]) -> None:
        arguments["attention"] = arguments.pop("attention_mechanism")

    def take(self, arguments: dict[str, Any]) -> None:
        self.alignment_history = bool(arguments["alignment_history"])
        refuse(self, _OWN, **{name: arguments[name] for name in ("attention_layer", "attention_fn")})
        self.scope_name = arguments["name"]
        self.cell_input_fn = arguments["cell_input_fn"]
        if self.cell_input_fn is not None and not callable(self.cell_input_fn):
            raise DtypeError(
                f"cell_input_fn must be a function of (inputs, attention), not {shown(self.cell_input_fn)}"
            )

    def _cell_input(self, p: Scope, x: Tensor, attention: Tensor) -> Tensor:
        if self.cell_input_fn is None:
            return super()._cell_input(p, x, attention)
        function = taking(self.cell_input_fn, "cell_input_fn", "inputs", "attention")
        with within_step(p, p._path):
            result = function(as_tensorflow(x), as_tensorflow(attention))
        if not isinstance(result, Tensor) or result.rank != 2:
            raise ShapeError(f"cell_input_fn must return a Tensor [batch, width], not {shown(result)}")
        return result
